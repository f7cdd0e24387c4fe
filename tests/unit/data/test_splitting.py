import random

import pytest

from loragrid.data.rows import numbered
from loragrid.data.sources import FileSource
from loragrid.data.splitting import clean_splits, divide, draft, map_row, subset
from loragrid.data.tasks import Cleaning, DataSetFields
from loragrid.errors import UserError

FIELDS = DataSetFields(
    answers="each",
    instruction="Translate.",
    input="{{ text | upper }}",
    output="{{ answers[0] }}",
    metadata={"of": "{{ key }}"},
)


def fields(**changes):
    return FIELDS.model_copy(update=changes)


def test_row_is_mapped_by_the_templates():
    example = map_row({"text": "hi", "answers": ["salut"], "key": 7}, FIELDS, "t", "s")
    assert (example.instruction, example.input, example.output, example.metadata) == ("Translate.", "HI", "salut", {"of": "7"})


def test_id_is_a_function_of_the_content():
    row = {"text": "hi", "answers": ["salut"], "key": 7}
    assert map_row(row, FIELDS, "t", "s").id == map_row(row | {"other": 1}, FIELDS, "t", "s").id
    assert map_row(row, FIELDS, "t", "s").id != map_row(row | {"answers": ["bonjour"]}, FIELDS, "t", "s").id
    assert map_row(row, FIELDS, "t", "s").id != map_row(row, FIELDS, "t", "other").id


def test_filter_marked_picks_items_from_lists_and_from_mappings_of_lists():
    told = fields(input="", output="{{ text | marked(marks) | join(' ') }}", metadata=None)
    row = {"text": {"b": ["1", "2"], "a": ["3", "4"]}, "marks": {"a": [1, 0], "b": [0, 1]}}
    assert map_row(row, told, "t", "s").output == "2 3"
    assert map_row({"text": ["1", "2"], "marks": [0, 1]}, told, "t", "s").output == "2"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "['First.', 'Second.']", "marks": [1, 0]}, "'marked' found text for the items"),
        ({"text": ["First.", "Second."], "marks": "[True, False]"}, "'marked' found text for the marks ('[True, False]'); expected a list."),
        ({"text": ["First.", "Second."], "marks": ["True", "False"]}, "the condition is the text 'True'"),
        ({"text": ["First.", "Second."], "marks": [1]}, "'marked' found 2 items and 1 marks; expected one mark for each item."),
    ],
)  # fmt: skip
def test_filter_marked_takes_no_text_for_lists_or_marks(row, message):
    with pytest.raises(UserError) as caught:
        map_row(row, fields(input="", output="{{ text | marked(marks) | join(' ') }}", metadata=None), "t", "s")
    assert str(caught.value).startswith(f"the template of 'output' fails: {message}")


def test_several_references_come_from_an_expression():
    told = fields(output=None, outputs="answers")
    assert map_row({"text": "hi", "answers": ["a ", "b", "a"], "key": 1}, told, "t", "s").output == ["a", "b"]
    with pytest.raises(UserError, match=r"the expression of 'outputs' gives 'a'; expected a list of texts"):
        map_row({"text": "hi", "answers": "a", "key": 1}, told, "t", "s")
    with pytest.raises(UserError, match=r"the expression of 'outputs' fails: 'answers' is undefined; the row has: text, key"):
        map_row({"text": "hi", "key": 1}, told, "t", "s")


def test_references_of_any_single_values_are_texts_and_empty_ones_count_only_alone():
    def references(*answers):
        return map_row({"answers": [*answers]}, fields(input="", output=None, outputs="answers", metadata=None), "t", "s").output

    assert references("the letter", "") == references("the letter", None, float("nan")) == ["the letter"]
    assert references(4.0, True, b"x") == ["4", "true", "x"]
    assert references("", None) == [""]
    assert references() == ""
    with pytest.raises(UserError, match=r"the expression of 'outputs' fails: found the list \['a'\]; expected text"):
        references("x", ["a"])


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("    c = a + b\n    return c\n", "    c = a + b\n    return c"),
        ("\n  \n\treturn -a  \n\n", "\treturn -a"),
        ("        return a\r\n", "        return a"),
        (" yes\n", "yes"),
        ("\u3000答え", "答え"),
        (" \n", ""),
    ],
)
def test_indentation_of_an_output_stays_and_what_is_blank_around_it_goes(text, output):
    row = {"text": "hi", "answers": [text], "key": 1}
    assert map_row(row, FIELDS, "t", "s").output == output
    assert map_row(row, fields(output=None, outputs="answers + ['other']"), "t", "s").output == [output, "other"][output == "" :]


def test_several_prompts_of_a_row_have_a_reference_each_or_one_together():
    told = fields(input="", output=None, outputs="answers", prompts="questions")
    row = {"questions": ["q1", "q2"], "answers": ["a", "a"], "key": 1}
    each = map_row(row, told, "t", "s")
    assert (each.prompts, each.output, each.answers) == (["q1", "q2"], ["a", "a"], "each")
    assert [(part.input, part.output) for part in each.parts] == [("q1", "a"), ("q2", "a")]
    with pytest.raises(UserError, match="there are 2 prompts, but 'outputs' gives 3 references; expected one for each"):
        map_row(row | {"answers": ["a", "b", "c"]}, told, "t", "s")
    together = told.model_copy(update={"answers": "joined", "output": "{{ answers[0] }}", "outputs": None})
    joined = map_row(row, together, "t", "s")
    assert [(part.input, part.output) for part in joined.parts] == [("q1", "a"), ("q2", "a")]
    assert len({each.id, joined.id, map_row(row | {"questions": ["q1", "q3"]}, told, "t", "s").id}) == 3


def drafts(rows, **settings):
    source = FileSource.model_validate({"splits": {}} | settings)
    return list(draft(numbered("rows", rows), FIELDS, source, "t", "s")), source.split


def rows(size, **fields):
    return [{"text": f"text {i}", "answers": ["a"], "key": i % 3} | fields for i in range(size)]


def test_template_naming_a_missing_field_gives_place_field_and_those_that_exist():
    with pytest.raises(UserError) as caught:
        drafts([*rows(1), {"text": "a", "key": 1}])
    assert str(caught.value) == "rows, row 2: the template of 'output' fails: 'answers' is undefined; the row has: text, key."


def test_template_cannot_reach_the_program():
    told = fields(input="{{ ''.__class__.__mro__ }}")
    with pytest.raises(UserError, match="template of 'input' fails"):
        map_row({"text": "hi", "answers": ["a"], "key": 1}, told, "t", "s")


def test_rows_that_where_is_false_for_are_left_out():
    found, _ = drafts(rows(9), where="key != 1")
    assert [d.example.metadata["of"] for d in found] == ["0", "2"] * 3


@pytest.mark.parametrize("where", ["text", "not text", "text and key == 0"])
def test_text_that_where_takes_for_truth_is_named_with_its_place(where):
    with pytest.raises(UserError) as caught:
        drafts([{"text": "False", "answers": ["a"], "key": 0}], where=where)
    assert str(caught.value).startswith("rows, row 1: the expression of 'where' fails: the condition is the text 'False'")


@pytest.mark.parametrize(
    ("templates", "row", "missing"),
    [
        ({"output": "{{ a }}"}, {"q": "1", "a": None}, "null output"),
        ({"output": "Answer: {{ a | upper }}"}, {"q": "1", "a": float("nan")}, "null output"),
        ({"output": "{{ a }} {{ q }}"}, {"q": "1", "a": None}, None),
        ({"output": None, "outputs": "a"}, {"q": "1", "a": None}, "null output"),
        ({"output": None, "outputs": "a"}, {"q": "1", "a": [None, None]}, "null output"),
        ({"output": None, "outputs": "a"}, {"q": "1", "a": []}, None),
        ({"output": "{{ a }}"}, {"q": "1", "a": ""}, None),
        ({"output": "{{ a }}"}, {"q": None, "a": "x"}, "null question"),
        ({"output": "{{ a }}", "input": "Question: {{ q }}\nHint: {{ q }}"}, {"q": None, "a": "x"}, "null question"),
        ({"output": "{{ a }}", "input": "{{ q }} {{ hint }}"}, {"q": "1", "hint": None, "a": "x"}, None),
        ({"output": "{{ a }}", "instruction": "{{ q }}", "input": "{{ hint }}"}, {"q": "1", "hint": None, "a": "x"}, None),
    ],
)
def test_row_with_only_null_for_its_question_or_output_says_so(templates, row, missing):
    told = fields(input="{{ q }}", metadata=None, **templates) if "input" not in templates else fields(metadata=None, **templates)
    source = FileSource.model_validate({"splits": {}})
    [drafted] = draft(numbered("rows", [row]), told, source, "t", "s")
    assert drafted.missing == missing


def ids(splits):
    return {split: {e.id for e in examples} for split, examples in splits.items()}


def test_splits_that_a_source_has_are_kept_as_they_are():
    given = {
        split: drafts([{"text": f"{split} {i}", "answers": ["a"], "key": 1} for i in range(5)])[0]
        for split in ("train", "validation", "test")
    }
    division = drafts([], split={"validation": 0.5, "test": 0.5})[1]
    assert {s: [e.input for e in x] for s, x in divide(given, division).items()} == {
        s: [f"{s} {i}".upper() for i in range(5)] for s in given
    }


def test_rows_for_test_alone_leave_nothing_to_train_on():
    found, division = drafts(rows(3), split={"validation": 0.5, "test": 0.5})
    splits = divide({"test": found}, division)
    assert {split: len(examples) for split, examples in splits.items()} == {"train": 0, "validation": 0, "test": 3}


def test_split_by_hash_keeps_to_its_shares_and_nothing_moves_when_data_grows():
    found, division = drafts(rows(2000), split={"validation": 0.1, "test": 0.2})
    small, large = ids(divide({"all": found[:1000]}, division)), ids(divide({"all": found[::-1]}, division))
    assert all(small[split] < large[split] for split in small)
    assert len(large["test"]) == pytest.approx(400, abs=60)
    assert len(large["validation"]) == pytest.approx(200, abs=45)
    other = ids(divide({"all": found}, division.model_copy(update={"seed": 1})))
    assert other["test"] != large["test"]


def test_missing_split_is_cut_from_train():
    found, division = drafts(rows(200), split={"validation": 0.2})
    test, _ = drafts([{"text": "other", "answers": ["a"], "key": 1}])
    splits = divide({"train": found, "test": test}, division)
    assert len(splits["test"]) == 1
    assert 20 <= len(splits["validation"]) <= 60
    assert len(splits["train"]) + len(splits["validation"]) == 200


def test_group_stays_in_one_split():
    found, division = drafts(
        [r | {"key": i % 30} for i, r in enumerate(rows(300))], split={"test": 0.3, "validation": 0.3, "group": "{{ key }}"}
    )
    splits = divide({"all": found}, division)
    groups = {split: {e.metadata["of"] for e in examples} for split, examples in splits.items()}
    assert sum(map(len, groups.values())) == 30
    assert all(groups.values())


def test_fixed_test_set_holds_the_same_number_of_each_category():
    found, division = drafts(rows(90), split={"test_per_task": 5, "category": "{{ key }}", "validation": 0.1})
    test = divide({"all": found}, division)["test"]
    assert sorted(e.metadata["of"] for e in test) == sorted(["0", "1", "2"] * 5)
    assert len(divide({"all": found}, division.model_copy(update={"category": None}))["test"]) >= 5
    repeated, division = drafts([*rows(50), *rows(50)], split={"test_per_task": 5})
    assert len(divide({"all": repeated}, division)["test"]) == 10


def test_added_question_moves_no_other_out_of_a_fixed_test_set_but_the_one_whose_place_it_takes():
    found, division = drafts(rows(400), split={"test_per_task": 20, "validation": 0.1})
    for size in range(300, 400):
        before, after = ids(divide({"all": found[:size]}, division)), ids(divide({"all": found[: size + 1]}, division))
        new = found[size].example.id
        left = before["test"] - after["test"]
        assert len(after["test"]) == 20
        assert after["test"] - before["test"] == ({new} if left else set())
        assert len(left) <= 1
        assert after["train"] - left - {new} == before["train"]
        assert after["validation"] - left - {new} == before["validation"]
    wider = ids(divide({"all": found}, division.model_copy(update={"test_per_task": 30})))
    assert ids(divide({"all": found}, division))["test"] < wider["test"]


def test_examples_of_the_wrong_length_are_dropped_and_listed(make_example):
    examples = [make_example("short", input="a"), make_example("fine", input="a b c d"), make_example("long", input="a " * 50)]
    cleaning = Cleaning(min_tokens=5, max_tokens=20)
    kept, dropped = clean_splits({"train": examples, "validation": [], "test": []}, cleaning, lambda text: len(text.split()))
    assert [e.id for e in kept["train"]] == ["fine"]
    assert dropped["train"] == {"too short": ["short"], "too long": ["long"]}


def test_near_duplicates_of_a_kept_example_are_dropped_and_name_it(make_example):
    words = [f"w{i}" for i in range(60)]
    near, far = " ".join([*words[:-1], "other"]), " ".join(words[::-1])
    splits = {
        "train": [make_example("1", input=near), make_example("2", input=far), make_example("1", input=near)],
        "validation": [],
        "test": [make_example("3", input=" ".join(words))],
    }
    kept, dropped = clean_splits(splits, Cleaning(near_duplicates=0.8))
    assert ids(kept) == {"train": {"2"}, "validation": set(), "test": {"3"}}
    assert dropped["train"] == {"near duplicate": {"1": "3"}, "repeated": ["1"]}
    assert ids(clean_splits(splits, Cleaning())[0])["train"] == {"1", "2"}


def test_near_duplicate_names_the_nearest_of_several(make_example):
    words = [f"w{i}" for i in range(100)]
    texts = {"further": words[20:], "nearest": words[:80], "both": words[6:88]}
    train = [make_example(name, input=" ".join(text)) for name, text in texts.items()]
    _, dropped = clean_splits({"train": train, "validation": [], "test": []}, Cleaning(near_duplicates=0.65))
    assert dropped["train"] == {"near duplicate": {"both": "nearest"}}


LONG = (
    "Read the following text with care, do not add anything of your own, and answer in one short sentence without any reasons: "
)


def test_long_instruction_that_all_share_makes_no_near_duplicates(make_example):
    train = [make_example(str(i), instruction=LONG, input=f"what did person {i} buy on day {i}") for i in range(80)]
    kept, dropped = clean_splits({"train": train, "validation": [], "test": []}, Cleaning(near_duplicates=0.7))
    assert (len(kept["train"]), dropped["train"]) == (80, {})


@pytest.mark.parametrize("key", ["input", "instruction"])
def test_words_of_a_template_around_each_question_make_no_near_duplicates(make_example, key):
    texts = [f"{LONG} person {i} came on day {i} with box {i}" for i in range(40)] + [
        f"{LONG} person 7 came on day 7 with box 7 !"
    ]
    train = [make_example(str(i), **({"instruction": "", "input": ""} | {key: text})) for i, text in enumerate(texts)]
    _, dropped = clean_splits({"train": train, "validation": [], "test": []}, Cleaning(near_duplicates=0.7))
    assert dropped["train"] == {"near duplicate": {"40": "7"}}


def test_short_input_that_many_questions_share_makes_no_near_duplicates(make_example):
    asked = ["name three rivers of the north", "write a poem about the first snow", "tell how bread is made at home"]
    train = [make_example(str(i), instruction=text, input="none") for i, text in enumerate(asked)]
    kept, dropped = clean_splits({"train": train, "validation": [], "test": []}, Cleaning(near_duplicates=0.7))
    assert (len(kept["train"]), dropped["train"]) == (3, {})


def test_without_input_near_duplicates_are_found_by_the_instruction_and_with_prompts_by_these(make_example):
    asked = "please write a short poem about the first snow in the old town by the sea at night"
    alone = [make_example("1", instruction=asked, input=""), make_example("2", instruction=asked + " again", input="")]
    several = [
        make_example(name, input="").model_copy(update={"prompts": [LONG + end, f"{end} second"], "answers": "joined"})
        for name, end in (("3", "a"), ("4", "a"), ("5", "b c d e f g h i j k l m n o p q r s t u v w x y z"))
    ]
    for train, twins in ((alone, {"2": "1"}), (several, {"4": "3"})):
        _, dropped = clean_splits({"train": train, "validation": [], "test": []}, Cleaning(near_duplicates=0.8))
        assert dropped["train"] == {"near duplicate": twins}


def test_near_duplicates_are_found_in_scripts_without_spaces(make_example):
    text = "".join(map(chr, range(0x4E00, 0x4E40)))
    train = [
        make_example("1", input=text + "\u3002"),
        make_example("2", input=text + "\uff01"),
        make_example("3", input=text[::-1]),
    ]
    _, dropped = clean_splits({"train": train, "validation": [], "test": []}, Cleaning(near_duplicates=0.8))
    assert dropped["train"] == {"near duplicate": {"2": "1"}}


def test_questions_that_differ_in_signs_alone_are_no_near_duplicates(make_example):
    train = [make_example(sign, input=f"how much is 17 {sign} 5 if you count in whole numbers") for sign in "+-"]
    kept, _ = clean_splits({"train": train, "validation": [], "test": []}, Cleaning(near_duplicates=0.8))
    assert len(kept["train"]) == 2


def test_near_duplicates_at_similarity_one_have_the_same_words(make_example):
    train = [make_example(str(i), input=text) for i, text in enumerate(("a b c d e", "A  b c d e", "a b c d f"))]
    _, dropped = clean_splits({"train": train, "validation": [], "test": []}, Cleaning(near_duplicates=1))
    assert dropped["train"] == {"near duplicate": {"1": "0"}}


def test_question_in_another_unicode_form_is_the_same_question(make_example):
    splits = {"train": [make_example("1", input="Cafe\u0301")], "validation": [], "test": [make_example("2", input="Caf\u00e9")]}
    assert clean_splits(splits)[1]["train"] == {"same question in test": ["1"]}


def test_question_of_a_later_split_never_stays_in_an_earlier_one(make_example):
    splits = {
        "train": [make_example("1", input="Same  QUESTION"), make_example("2"), make_example("3", input="in validation")],
        "validation": [make_example("4", input="in validation"), make_example("5", input="same question ")],
        "test": [make_example("6", input="same question")],
    }
    kept, dropped = clean_splits(splits)
    assert {split: [e.id for e in examples] for split, examples in kept.items()} == {
        "train": ["2"],
        "validation": ["4"],
        "test": ["6"],
    }
    assert dropped["train"] == {"same question in test": ["1"], "same question in validation": ["3"]}
    assert dropped["validation"] == {"same question in test": ["5"]}


def test_empty_outputs_and_repetitions_are_dropped_and_listed(make_example):
    kept, dropped = clean_splits(
        {"train": [make_example("1"), make_example("1"), make_example("2", output="")], "validation": [], "test": []}
    )
    assert [e.id for e in kept["train"]] == ["1"]
    assert dropped["train"] == {"repeated": ["1"], "empty output": ["2"]}


def test_null_is_counted_apart_from_what_is_empty(make_example):
    splits = {
        "train": [],
        "validation": [],
        "test": [make_example("1"), make_example("2", output=""), make_example("3", output="")],
    }
    _, dropped = clean_splits(splits, missing={"1": "null question", "2": "null output"})
    assert dropped["test"] == {"null question": ["1"], "null output": ["2"], "empty output": ["3"]}


def test_one_empty_reference_drops_no_example(make_example):
    splits = {"train": [], "validation": [], "test": [make_example("1", output=["the letter", ""])]}
    assert [e.id for e in clean_splits(splits)[0]["test"]] == ["1"]


def test_unanswerable_questions_are_kept_on_request(make_example):
    splits = {
        "train": [make_example("1", output="")],
        "validation": [],
        "test": [make_example("2", output=""), make_example("3", output=[""]), make_example("4", output="")],
    }
    missing = {"2": "null output", "4": "null question"}
    kept, dropped = clean_splits(splits, Cleaning(keep_unanswerable=True), missing=missing)
    assert {split: [e.id for e in examples] for split, examples in kept.items()} == {
        "train": ["1"],
        "validation": [],
        "test": ["2", "3"],
    }
    assert dropped["test"] == {"null question": ["4"]}


def test_subset_is_the_same_in_any_order_nested_and_common_to_sample_types(make_example):
    examples = [make_example(str(i)) for i in range(50)]
    shuffled = random.Random(0).sample(examples, 50)
    chosen = {e.id for e in subset(examples, 10)}
    assert len(chosen) == 10
    assert {e.id for e in subset(shuffled, 10)} == chosen
    assert chosen < {e.id for e in subset(examples, 20)}
    other = [make_example(f"other {(7 * i) % 50}", input=f"question {i}", output="another answer") for i in range(50)]
    assert {e.input for e in subset(other, 10)} == {e.input for e in subset(examples, 10)}
    assert subset(examples, None) == examples
    assert [e.id for e in subset(examples, 10)] == [e.id for e in examples if e.id in chosen]
