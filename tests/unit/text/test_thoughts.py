"""What a model thought and what it answered, told apart by marks in its text."""

import pytest

from loragrid.text.thoughts import MARKS, Spoken, opened_by, spoken_in, tell_apart

HARMONY = "<|channel|>analysis<|message|>3 or 4?<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("<think>\nCould be negative.\n</think>\n\npositive", "Could be negative.", "positive"),
        ("\n<THINK>3 * 6</Think> 18", "3 * 6", "18"),
        ("<thinking>no</thinking>yes", "no", "yes"),
        ("<reasoning>\nno\n</reasoning>\n<answer>yes</answer>", "no", "<answer>yes</answer>"),
        ("[THINK]no[/THINK]yes", "no", "yes"),
        ("<|channel>thought\nno\n<channel|>yes", "no", "yes"),
        (f"{HARMONY}It is 4.<|return|>", "3 or 4?", "It is 4."),
        ("analysis3 or 4?assistantfinalIt is 4.", "3 or 4?", "It is 4."),
        # The indentation of code stays.
        ("<think>a sum</think>\n    c = a + b\n    return c\n", "a sum", "    c = a + b\n    return c"),
        # The prompt has opened the thought.
        ("Could be negative.\n</think>\n\npositive", "Could be negative.", "positive"),
        # Several thoughts: the answer is what follows the last.
        ("<think>a</think>Let me see.<think>b</think>18", "a\n\nLet me see.\n\nb", "18"),
        ("<think>a <think> b</think> c</think> 18", "a <think> b\n\nc", "18"),
        # Nothing follows.
        ("18\n<think>Was that right?</think>", "Was that right?", "18"),
        ("The answer is 18. <think>Or 20", "Or 20", "The answer is 18."),
        # Empty thoughts are none.
        ("<think>\n\n</think>\n\nyes", "", "yes"),
        # The thought does not end, or only it is there.
        ("<think>Could be negative, but", "Could be negative, but", ""),
        ("<think>a</think>", "a", ""),
        ("<think>a</think>Let me see.<think>b", "a\n\nLet me see.\n\nb", ""),
        ("<think>", "<think>", ""),
        # Marks in quotes are only mentioned.
        ('text.split("</think>")[-1]', "", 'text.split("</think>")[-1]'),
        ("<think>I end with `</think>`, or 'no</think>", "I end with `</think>`, or 'no", ""),
        ("print('<think>hm</think>')\n", "", "print('<think>hm</think>')\n"),
        # So are marks in code, in brackets or as a word of a sentence.
        ("Wrap it in `<think>…</think>` first.", "", "Wrap it in `<think>…</think>` first."),
        ("```xml\n<think>\nhm\n</think>\n```\nis its form.", "", "```xml\n<think>\nhm\n</think>\n```\nis its form."),
        ("The <think> tag opens, and </think> ends it.", "", "The <think> tag opens, and </think> ends it."),
        ("Tags such as [THINK], which open a thought (<think>).", "", "Tags such as [THINK], which open a thought (<think>)."),
        ("R1 writes </think> before its answer.", "", "R1 writes </think> before its answer."),
        ("<think>a</think>Use `<think>`.", "a", "Use `<think>`."),
        # These are not: the thought began in the prompt, or leaves a block of code open.
        ("so it is positive </think> positive", "so it is positive", "positive"),
        ("```python\nx = 1\n</think>\nuse\n```python\nx = 2\n```", "```python\nx = 1", "use\n```python\nx = 2\n```"),
        ("<think> I said </think> because of it", "I said", "because of it"),
        # Marks of the answer go with those of thoughts.
        ("<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>\nb\n<|end_of_solution|>", "a", "b"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "a", "b"),
        # A text without marks stays as it is.
        (" I think, <b>not</b>. \n", "", " I think, <b>not</b>. \n"),
    ],
)
def test_answer_is_what_follows_the_thoughts(text, thoughts, answer):
    assert tell_apart(text) == Spoken(thoughts, answer)


@pytest.mark.parametrize(("opening", "closing"), MARKS)
def test_every_pair_of_marks_holds_a_thought_open_or_closed(opening, closing):
    assert tell_apart(f"{opening}\nno\n{closing}\nyes") == Spoken("no", "yes")
    assert tell_apart(f"{opening}\nno") == Spoken("no", "")
    assert opened_by(f"Question?\n{opening}\n") == closing
    assert opened_by(f"Question?\n{opening}\n{closing}\n\n") is None


def test_thought_that_the_prompt_opens_goes_on_until_it_is_closed():
    assert tell_apart("no, but", opened="</think>") == Spoken("no, but", "")
    assert tell_apart("no</think>yes", opened="</think>") == Spoken("no", "yes")


def test_marks_of_ones_own_take_the_place_of_the_usual_ones():
    assert tell_apart("(hm) yes", [["(", ")"]]) == Spoken("hm", "yes")
    assert (
        tell_apart("<think>hm</think>yes", [["(", ")"]]) == tell_apart("<think>hm</think>yes", []) == ("", "<think>hm</think>yes")
    )


@pytest.mark.parametrize(
    "message",
    [
        {"content": "18", "reasoning_content": "3 * 6"},
        {"content": "18", "reasoning": "3 * 6"},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "3 * 6"}]}, {"type": "text", "text": "18"}]},
    ],
)
def test_servers_tell_thoughts_in_fields_of_their_own(message):
    assert spoken_in(message) == Spoken("3 * 6", "18")


def test_content_that_is_no_text_is_refused():
    assert spoken_in({"content": None}) == Spoken("", "")
    with pytest.raises(ValueError, match="no text"):
        spoken_in({"content": 5})


@pytest.mark.parametrize(
    "repeated", ["```python\n<think>\n", "<think>a</think>`b` ", "a <think> b ", "`a <think> ", "```\n</think>\n"]
)
def test_telling_apart_takes_no_time_to_speak_of(repeated):
    # Models that repeat themselves write such texts.
    tell_apart(repeated * 3000)
