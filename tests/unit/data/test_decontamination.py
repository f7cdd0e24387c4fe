"""Which training examples count as known from a test set."""

import json

from loragrid.data.decontamination import find_leaks, read_leaks, without_leaks, write_leaks

PASSAGE = "The old bridge over the river was built by two brothers and opened in the spring of 1932."


def test_leak_is_found_by_its_input_and_names_its_test_sets(make_example):
    test = [make_example("t", input="The  SAME question"), make_example("u", input="x", output="fresh")]
    train = [make_example("1", input="the same question", output="another"), make_example("2", output="fresh"), make_example("3")]
    leaks = find_leaks(train, {"t/s": test, "v/s": test[:1]})
    assert leaks.by_question == {"1": ["t/s", "v/s"]}
    assert not leaks.by_output


def test_same_question_leaks_whatever_its_instruction_reference_and_unicode_form(make_example):
    test = [make_example("t", instruction="When was it built?", input="Caf\u00e9 de\u00a0la gare")]
    train = [
        make_example("1", instruction="In which year was it built?", input="Cafe\u0301 de la gare", output="In 1999."),
        make_example("2", instruction="When was it built?", input="caf\u00e9 de la ga\u200bre"),
        make_example("3", instruction="When was it built?", input="Caf\u00e9 du Nord"),
    ]
    assert list(find_leaks(train, {"t/s": test}).by_question) == ["1", "2"]


def test_examples_without_input_are_told_by_their_instruction(make_example):
    test = [make_example("t", instruction="Write a poem.", input="")]
    train = [make_example("1", instruction="write a poem.", input=""), make_example("2", input="")]
    assert list(find_leaks(train, {"t": test}).by_question) == ["1"]


def test_short_input_that_many_questions_share_is_a_leak_only_with_the_same_instruction(make_example):
    test = [make_example(f"t{i}", instruction=f"Who wrote book {i}?", input="None") for i in range(3)]
    train = [make_example(str(i), instruction=f"Who wrote book {i}?", input="none") for i in range(1, 9)]
    assert list(find_leaks(train, {"t/s": test}).by_question) == ["1", "2"]
    passage = [make_example(f"t{i}", instruction=f"Question {i}?", input=PASSAGE) for i in range(3)]
    reworded = [make_example("1", instruction="Another question?", input=PASSAGE)]
    assert list(find_leaks(reworded, {"t/s": passage}).by_question) == ["1"]


def test_examples_that_ask_nothing_are_no_leaks(make_example):
    empty = {"instruction": "", "input": " "}
    assert find_leaks([make_example("1", **empty)], {"t": [make_example("t", **empty)]}) == ({}, {})


def test_canned_answer_is_a_leak_only_by_output(make_example):
    canned = "I am sorry, I cannot help with that."
    test = [make_example(f"t{i}", output=canned) for i in range(5)]
    train = [make_example(f"{i}", output=canned.upper()) for i in range(20)]
    leaks = find_leaks(train, {"t/s": test})
    assert leaks.left_out(by_output=False) == {}
    assert set(leaks.left_out(by_output=True).values()) == {"same output"}
    assert len(leaks.left_out(by_output=True)) == 20


def test_short_outputs_such_as_labels_tell_nothing(make_example):
    test = [make_example("t", output="not enough information given")]
    assert find_leaks([make_example("1", output="not enough information given")], {"t": test}) == ({}, {})


def test_output_without_spaces_between_words_tells_something_too(make_example):
    long, short = "\u6211\u4e0d\u77e5\u9053\u7b54\u6848", "\u6211\u4e0d\u77e5\u9053"
    test = [make_example("t", output=long), make_example("u", output=short)]
    assert list(find_leaks([make_example("1", output=long), make_example("2", output=short)], {"t": test}).by_output) == ["1"]


def test_reworded_question_about_the_same_passage_with_the_same_answer_is_the_same_question(make_example):
    answer = "by two brothers in 1932"
    test = [make_example("t", input=f"{PASSAGE} Who built the bridge, and when?", output=answer)]
    train = [
        make_example("reworded", input=f"{PASSAGE} Tell me the builders of it and the year.", output=answer),
        make_example("other answer", input=f"{PASSAGE} What was opened?", output="the old bridge over the river"),
        make_example("other passage", input="Who made the first boat of this kind, and when?", output=answer),
    ]
    leaks = find_leaks(train, {"t/s": test})
    assert list(leaks.by_question) == ["reworded"]
    assert list(leaks.by_output) == ["other passage"]


def test_reworded_question_is_found_by_a_short_answer_too_unless_many_have_it(make_example):
    test = [make_example("t", input=f"{PASSAGE} When?", output="1932"), make_example("u", input="Yes?", output="yes")]
    train = [
        make_example("1", input=f"In which year? {PASSAGE}", output="1932."),
        make_example("2", input=f"Year? {PASSAGE}", output="1932"),
    ]
    assert list(find_leaks(train, {"t/s": test}).by_question) == ["1", "2"]
    often = [*test, *[make_example(f"v{i}", input=f"year {i}", output="1932") for i in range(2)]]
    assert not find_leaks(train, {"t/s": often}).by_question


def test_words_of_a_template_are_no_passage(make_example):
    def asked(name, intent):
        return make_example(name, input=f"Which of these does the customer want: {PASSAGE} Message {name}", output=intent)

    test = [asked(f"t{i}", f"intent {i % 20}") for i in range(40)]
    assert find_leaks([asked(str(i), f"intent {i}") for i in range(20)], {"t/s": test}) == ({}, {})


def test_canned_answers_about_texts_with_a_common_beginning_are_no_leaks(make_example):
    test = [make_example(f"t{i}", input=f"{PASSAGE} {i}", output="the text says nothing about it") for i in range(5)]
    train = [make_example(f"{i}", input=f"{PASSAGE} {i + 9}", output="the text says nothing about it") for i in range(20)]
    assert not find_leaks(train, {"t/s": test}).by_question


def test_each_prompt_of_an_example_is_a_question(make_example):
    several = make_example("t", input="").model_copy(update={"prompts": ["one", "two"], "output": ["1", "2"], "answers": "each"})
    assert list(find_leaks([make_example("1", input="two"), make_example("2", input="three")], {"t": [several]}).by_question) == [
        "1"
    ]


def test_training_examples_are_rid_of_what_the_test_set_holds(make_example):
    train = [make_example("1"), make_example("2", input="asked")]
    assert without_leaks(train, [make_example("t", input="Asked")]) == (train[:1], {"2": "same question"})


def test_leaks_are_read_as_they_were_written_and_those_of_earlier_versions_too(make_example, tmp_path):
    test = [make_example("t", input="asked", output="one two three four five")]
    train = [make_example("1", input="asked"), make_example("2", output="one two three four five")]
    leaks = {"train": find_leaks(train, {"t/s": test}), "validation": find_leaks(train[:1], {"t/s": test})}
    write_leaks(tmp_path / "leaks.json", leaks)
    assert read_leaks(tmp_path / "leaks.json") == leaks
    assert json.loads((tmp_path / "leaks.json").read_text()) == {
        "train": {"1": ["t/s"]},
        "validation": {"1": ["t/s"]},
        "by_output": {"train": {"2": ["t/s"]}},
    }
    (tmp_path / "old.json").write_text('{"train": {"7": ["t/s"]}, "validation": {}}')
    assert read_leaks(tmp_path / "old.json")["train"] == ({"7": ["t/s"]}, {})
