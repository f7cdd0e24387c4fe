import json

import pytest

from loragrid.text.words import one_form, sentences, trim, words
from packaged import unpacked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't PANIC_now, it's the 2nd 3.5!", ["don", "t", "panic", "now", "it", "s", "the", "2nd", "3", "5"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("أَكَلَ الوَلَدُ", ["أَكَلَ", "الوَلَدُ"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("我喜欢GPT４。", ["我", "喜", "欢", "gpt4"]),
        ("スーパー", ["ス", "ー", "パ", "ー"]),
        ("ที่ ๑๐๐บาท", ["ที่", "๑๐๐", "บ", "า", "ท"]),
        ("ຂອບ", ["ຂ", "ອ", "ບ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("❤️ — ...", []),
    ],
)
def test_words_are_found_in_any_script(text, expected):
    assert words(text) == expected


def test_composed_and_decomposed_letters_are_the_same():
    assert words("\u00e9cole") == words("E\u0301COLE")


@pytest.mark.parametrize(
    "expected",
    [
        ["It works.", "Does it?", "Yes!", "So be it..."],
        ["Dr. Smith et al. (2019) used 3.5 g, e.g. of salt, in Fig. 3.", "It worked."],
        ["It was shown by Lee et al.", "We agree."],
        ["J. R. Tolkien met the U.S. Army at 5 p.m.", "Then he left."],
        ['"Why?"', "He knew.", '"No." she said.', "(Really.)", "End"],
        ["No.", "It is no. 5."],
        ["1. Mix it.", "2. Bake it."],
        ["it is all small.", "nobody cares."],
        ["attention ( Lu et al . , 2016 ; Yu et al . , 2017 ) is All You Need .", "It is ."],
        ["नमस्ते।", "आप कैसे हैं?"],
        ["هل أنت بخير؟", "نعم."],
    ],
)
def test_texts_are_cut_where_sentences_end(expected):
    assert sentences(" ".join(expected)) == expected


def test_sentences_without_spaces_between_them_are_cut_too():
    assert sentences("我来了。你呢？「好！」他说。") == ["我来了。", "你呢？", "「好！」", "他说。"]


def test_line_break_ends_a_sentence():
    assert sentences("A title\n\n Some text\n") == ["A title", "Some text"]


def test_text_without_words_has_no_sentences():
    assert sentences("") == sentences(" \n ") == []


def test_most_sentences_of_real_papers_are_found_again():
    rows = [json.loads(line) for line in unpacked("aclsum==0.1.2", "aclsum/dataset/test.jsonl").open(encoding="utf-8")]
    given = [[" ".join(one.split()) for one in part] for row in rows for part in row["sentences"].values()]
    found = [sentences(" ".join(part)) for part in given]
    assert [" ".join(part) for part in found] == [" ".join(part) for part in given]
    same = sum(len(set(wanted) & set(got)) for wanted, got in zip(given, found, strict=True))
    assert same / sum(map(len, given)) > 0.9


@pytest.mark.parametrize("other", ["cafe\u0301", "ca\u200bfé", "\ufeffcafé", "ca\u00adfé"])
def test_texts_that_look_alike_have_one_form(other):
    assert one_form(other) == one_form("café") == "café"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n  \n    c = a + b\n    return c\n\n", "    c = a + b\n    return c"),
        ("    return -a\n", "    return -a"),
        ("\treturn -a  ", "\treturn -a"),
        # A single space separates an answer from its prompt, unless the whole text is indented by one.
        (" Paris\n", "Paris"),
        (" Paris\nor Lyon", "Paris\nor Lyon"),
        (" a:\n  b", " a:\n  b"),
        ("\u3000Paris\r\n", "Paris"),
        (" \n\t\n", ""),
    ],
)
def test_only_blank_lines_around_a_text_and_space_at_its_end_go(text, expected):
    assert trim(text) == expected
