import json
import re
import string

import pytest

from loragrid.text.answers import answer_words, comparable, normalise_answer
from packaged import unpacked


def official(text):
    """As the official script of SQuAD has it."""
    text = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("The  answer!", "an answer", True),
        ("U.S.A.", "usa", True),
        # Nothing would be left of the reference.
        ("", "A", False),
        ("B", "A", False),
        ("(a)", "A", True),
        ("the", "A", False),
        ("The.", "the", True),
        ("", "!!!", False),
        ("!!!", "!!!", True),
        ("+", "-", False),
        ("", "👍", False),
        # Nothing is wanted.
        ("", "", True),
        ("The.", "", True),
        # Signs that make another answer.
        ("5", "-5", False),
        ("−5", "-5", True),
        ("-$5", "-5", True),
        ("35", "3.5", False),
        ("12", "1/2", False),
        ("1230", "12:30", False),
        ("C", "C++", False),
        ("c#", "C#", True),
        ("A", "A+", False),
        ("O-", "O+", False),
        ("1e5", "1e-5", False),
        ("2^3", "23", False),
        ("2*3", "2**3", False),
        ("2+3", "23", False),
        ("10^-5", "10^5", False),
        ("<5", ">5", False),
        ("x > 3", "x < 3", False),
        ("a<b", "a>b", False),
        # "a" at the end is no article.
        ("Vitamin", "Vitamin A", False),
        ("vitamin a", "Vitamin A.", True),
        ("type an", "Type A", False),
        # Signs that make none.
        ("- 5.", "5", True),
        ("+5", "5", True),
        ("$5", "5%", True),
        ("1,234,567", "1234567", True),
        ("<5>", "5", True),
        ("> 5", "5", True),
        ("10–20", "10-20", True),
        ("–5", "-5", True),
        ("don’t", "don't", True),
        ("“Yes”…", "yes", True),
        ("¿Qué?", "qué", True),
        # Texts that look alike.
        ("cafe\u0301", "café", True),
        ("ye\u200bs", "yes", True),
        ("东京。", "东京", True),
    ],
)
def test_answers_are_compared_as_far_as_something_is_left_of_them(prediction, reference, expected):
    given, wanted = comparable(prediction, reference)
    assert (given == wanted) == expected


def test_english_answers_are_normalised_as_officially():
    rows = [json.loads(line) for line in unpacked("aclsum==0.1.2", "aclsum/dataset/test.jsonl").open(encoding="utf-8")]
    texts = [text for row in rows for part in row["sentences"].values() for text in part] + [
        "state-of-the-art",
        'Don\'t (say) "a"',
    ]
    # Without numbers, whose signs stay, and single letters.
    words = [word for text in texts for word in text.split() if not re.search(r"\d|^\W*\w{0,2}\W*$|[+#]|[\u200b\u00ad]", word)]
    assert len(words) > 10_000
    assert [normalise_answer(word) for word in words] == [official(word) for word in words]


def test_words_of_an_answer_are_characters_where_no_spaces_divide_words():
    assert answer_words("东京都 is 3.5 big") == ["东", "京", "都", "is", "3.5", "big"]
