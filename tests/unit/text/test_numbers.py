from decimal import Decimal

import pytest

from loragrid.text.numbers import read_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # LaTeX
        ("The car costs $9{,}500.", "9500"),
        (r"$12\,500$", "12500"),
        (r"9,\!500", "9500"),
        (r"9\!,500", "9500"),
        ("12~500", "12500"),
        (r"$\$12{,}500.50$", "12500.5"),
        (r"\boxed{3{,}5}", "3.5"),
        (r"x \approx18", "18"),
        (r"\frac{1}{2}", "0.5"),
        (r"-\dfrac{3}{4}", "-0.75"),
        (r"\frac12", "0.5"),
        (r"\frac{1}{1,000}", "0.001"),
        (r"1\frac{1}{2}", "1.5"),
        (r"$1.2\times10^{-3}$", "0.0012"),
        (r"1.2\cdot 10^3", "1200"),
        # Thousands
        ("Das macht 12 000 Euro.", "12000"),
        ("12\u00a0000", "12000"),
        ("12\u2009000\u2009000", "12000000"),
        ("1 234,56 €", "1234.56"),
        ("12.000,- €", "12000"),
        ("12_000", "12000"),
        ("12\u200b500", "12500"),
        ("1,50,000 rupees", "150000"),
        ("1.234,567", "1234.567"),
        ("٬".join(["١٢", "٥٠٠"]) + "٫٥", "12500.5"),
        ("１２，５００", "12500"),
        ("0,123", "0.123"),
        ("10 000 and 5", "5"),
        ("2 500-page books", "500"),
        # Fractions and powers
        ("1/2", "0.5"),
        ("-1/2", "-0.5"),
        ("½", "0.5"),
        ("2½ cups", "2.5"),
        ("1 1/2 cups", "1.5"),
        ("on 3/4/2020", "2020"),
        ("48/2 = 24", "24"),
        ("10^3", "1000"),
        ("10⁻³", "0.001"),
    ],
)
def test_numbers_are_read_as_people_and_models_write_them(text, expected):
    assert read_number(text, "last") == Decimal(expected)


@pytest.mark.parametrize("read", ["first", "last"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"I have 2 ways. \boxed{18}. I checked it in 3 ways.", "18"),
        (r"4 \boxed{\text{18 apples}} 2", "18"),
        (r"4 \boxed{x = \frac{3}{4}} 2", "0.75"),
        (r"4 $\boxed{\boxed{18}}$ 2", "18"),
        (r"4 \boxed 18 2", "18"),
        ("4 \\boxed{18", "18"),
        (r"I put it in \boxed{}. 18", "18"),
        (r"\boxed{\text{none of the 3}} or 4", "3"),
        ("4\n#### 12 000\n3", "12000"),
        ("4\n#### **18**\n3", "18"),
        ("4\n#### $\\boxed{18}$\n3", "18"),
        ("4\n#### 18 (on 3 May 2024)", "18"),
        ("4. The answer is:\n$$18$$\nChecked 2 times.", "18"),
        (r"4. The answer is \(18\), found in 3 steps.", "18"),
        (r"4. The answer is \[18\] in 3 steps.", "18"),
        ("4. The answer is `18` in 3 steps.", "18"),
        ("It has 4 sides. The answer is 18. I checked it in 2 ways.", "18"),
        ("4 steps.\n\n**Final answer:** $18 for 3 boys.", "18"),
        ("4. The answer is USD 18 for 3 boys.", "18"),
        ("4. The answer is US$18 for 3 boys.", "18"),
        ("4. Die Antwort ist CHF 18.00 für 3.", "18"),
        ("4. The answer is € 18 for 3 boys.", "18"),
        ("4\n## Answer\n18\nin 2 ways", "18"),
        ("4. The answer is 3 + 15 = 18. See 2.", "18"),
        ("4. The answer is x = 18 for 3 boys.", "18"),
        ("4 步，答案是 18，有 3 人", "18"),
        ("4. Die Antwort lautet 18, mit 2 Proben.", "18"),
    ],
)
def test_number_that_is_marked_as_the_answer_goes_before_all_others(read, text, expected):
    assert read_number(text, read) == Decimal(expected)


def test_marked_answer_without_a_number_is_no_number():
    assert read_number(r"2 ways: \boxed{\text{no}}, not 3", "last") is None


def test_words_about_an_answer_that_name_no_number_mark_none():
    assert read_number("The answer is the sum of 3 and 4, so 7.", "last") == 7
    assert read_number("The answer is 18-20", "last") == 20


@pytest.mark.parametrize("read", ["first", "last"])
def test_of_several_answers_the_first_or_last_counts_as_asked_for(read):
    assert read_number("The answer is 3. No: the answer is 4. 5", read) == {"first": 3, "last": 4}[read]


@pytest.mark.parametrize(
    "beginning", ["1", " 1", "1 000 ", "\\boxed{", "answer is ", "1/", "\\frac{1}{2}", "1,", "the answer is 5 + 3 "]
)
def test_reading_takes_time_in_proportion_to_the_length(beginning):
    # Seconds would become hours.
    read_number(beginning * 20_000, "last")
