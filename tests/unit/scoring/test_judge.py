"""What a judge is sent and how its answer is read; what is asked of a server is in test_judge_on_a_server.py."""

import json
import threading

import pytest
from pydantic import ValidationError

from loragrid.scoring import rubrics
from loragrid.scoring.judge_asking import blames_format, next_start, read_reply
from loragrid.scoring.judge_conversations import conversations_about, outcome_of
from loragrid.scoring.judge_ledger import Judgement, Ledger, OverBudgetError, Tokens, upper_bound
from loragrid.scoring.judge_replies import UnreadableError, form_in_words, read_scores, read_verdict, response_format
from loragrid.scoring.judging import request
from loragrid.scoring.protocol import Failed, Scored
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.rubrics import Range, Rubric, read_rubric
from loragrid.scoring.scorers.judge import judge_store
from unit.scoring.answers import item

TEN = Range(minimum=0, maximum=10)
ONE = {"score": TEN}
TWO = {"answer": TEN, "reference": TEN}
BOTH = Rubric(prompt="{{ prediction }}", scores=TWO, derived={"ratio": "answer / reference"})


def settings(**values):
    return parse_scorer({"type": "judge", "rubric": "both_0_10", "model": "m"} | values)


def ledger_of(store, judge):
    return Ledger(store, judge.price, judge.budget)


def said(text, **fields):
    return Judgement(**({"text": text, "refused": False, "cut_off": False, "prompt_tokens": 1, "new_tokens": 1} | fields))


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 7}',
        '{"score": 7.0, "why": "{it} is good"}',
        '```json\n{"score": 7}\n```',
        'I think {this} is fair: {"score": 7}, as {"score" 2} would be harsh.',
        '{"score": 7, "parts": {"score": 3}}',
        '{"score": 7}\nI say it again: {"score": 7.0}',
        '{"Score": "7"}',
        '{"score": "7/10"}',
        '{"scores": {"score": 7}}',
        '[{"score": 7}]',
        '{"score": 7, "why": "It is',
        "Score: 7",
        "**Score**: 7/10",
        "Score (0-10): 7.",
        "The score is 7 and not 3.",
        "The score is between 0 and 10. Score: 7 out of 10",
        "score = 7 / 10",
        "7",
        "7/10",
        "I give 7 out of 10.",
        "On a scale from 0 to 10 I give it a 7.",
        "<think>Is it 3? score: 4. {\"score\": 5}</think>\n{\"score\": 7}",
        "<thinking>Is it 3? score: 4.</thinking>score: 7",
        "[THINK]Is it 3? score: 4.[/THINK]7",
        "Is it 3? score: 4.</think>7",
    ],
)  # fmt: skip
def test_single_score_is_read_however_it_is_said(text):
    assert read_scores(text, ONE) == {"score": 7}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"answer": 3, "reference": 8}', (3, 8)),
        ('{"reference": 8.5, "answer": 3}', (3, 8.5)),
        ("Answer: 3/10\nReference: 8/10", (3, 8)),
        ('{"answer": 3, "reference": 8, "why": "cut', (3, 8)),
        ("answer = 3,5; reference = .5", (3.5, 0.5)),
        ('{"answer": 1}\n{"answer": 3, "reference": 8}', (3, 8)),
    ],
)
def test_several_scores_are_told_apart_by_their_names(text, expected):
    assert tuple(read_scores(text, TWO).values()) == expected


def test_names_of_several_words_may_be_spelled_with_spaces():
    assert read_scores("Is true: 4", {"is_true": TEN}) == {"is_true": 4}
    assert read_scores('{"is true": 4}', {"is_true": TEN}) == {"is_true": 4}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the judge's answer has no 'score'"),
        ("I am sorry, but I cannot judge this.", "the judge's answer has no 'score'"),
        ('{"score": 11}', "the judge's 'score' is 11, outside 0 to 10"),
        ("Score: -1", "the judge's 'score' is -1, outside 0 to 10"),
        ('{"score": NaN}', "the judge's 'score' is nan, outside 0 to 10"),
        ('{"score": Infinity}', "outside 0 to 10"),
        ('{"score": ' + "9" * 400 + "}", "outside 0 to 10"),
        ('{"score": null, "most": 10}', "the judge's 'score' is no number"),
        ('{"score": true}', "the judge's 'score' is no number"),
        ('{"score": "good"}', "the judge's 'score' is no number"),
        ("Score: 4/5", "the judge's 'score' is 4/5, not on the scale up to 10"),
        ("It is the 2nd best, in 1,000 words.", "the judge's answer has no 'score'"),
        ("Score: 4 out of 5", "the judge's 'score' is 4 out of 5, not on the scale up to 10"),
        ('The response demands {"score": 10}. No: {"score": 2}', "the judge's answer has several 'score': 10, 2"),
        ('The response says "score: 10". Score: 2', "the judge's answer has several 'score': 10, 2"),
        ("Score: 5-6", "the judge's answer has several 'score': 5, 6"),
        ("Score: 5 or 6", "the judge's answer has several 'score': 5, 6"),
        ("It names 3 causes instead of 4, so I give it 2.", "the judge's answer has several 'score': 3, 4, 2"),
        ("<think>Perhaps a 7, or", "the judge's answer has no 'score'"),
        ('{"a":' * 5000, "the judge's answer has no 'score'"),
    ],
)
def test_score_that_is_missing_or_cannot_be_is_said_in_a_sentence(text, sentence):
    with pytest.raises(UnreadableError) as error:
        read_scores(text, ONE)
    assert sentence in str(error.value)


def test_minus_may_be_a_typographic_one():
    assert read_scores("Score: \N{MINUS SIGN}5", {"score": Range(minimum=-5, maximum=5)}) == {"score": -5}


def test_number_at_the_end_of_an_answer_that_was_cut_off_may_lack_digits():
    assert read_scores('{"score": 1', ONE) == {"score": 1}
    for text in ('{"score": 1', "1", "score: 1"):
        with pytest.raises(UnreadableError):
            read_scores(text, ONE, cut_off=True)
    assert read_scores('{"score": 1,', ONE, cut_off=True) == {"score": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"better": "first"}', "first"),
        ('```json\n{"better": "second"}\n```', "second"),
        ('{"better": "tie"}', "tie"),
        ('{"winner": "Answer B"}', "second"),
        ('{"better": 1}', "first"),
        ("A", "first"),
        ("(b)", "second"),
        ("first.", "first"),
        ("Neither.", "tie"),
        ("**The second response**", "second"),
        ("Both have merits. [[A]]", "first"),
        ("The first is short, the second is long.\nVerdict: **second**", "second"),
        ("Both answer the question, but the better answer is: first", "first"),
        ("The second answer is clearly better because the first one is wrong.", "second"),
        ("<think>The first is better.</think>tie", "tie"),
    ],
)
def test_verdict_is_read_however_it_is_said(text, expected):
    assert read_verdict(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Both the first and the second answer are good.",
        "The second answer is not better.",
        "What is better is a matter of taste.",
        "Winner: first\nWinner: second",
        'The first one says {"better": "first"}. {"better": "second"}',
        '{"better": null}',
        '{"first": 1, "second": 2}',
        "I cannot say.",
    ],
)
def test_verdict_that_is_not_clear_is_none(text):
    with pytest.raises(UnreadableError, match="does not say which is better"):
        read_verdict(text)


def test_metrics_are_the_scores_and_what_is_derived_from_them():
    outcome = outcome_of(BOTH, [said('{"answer": 6, "reference": 8}')])
    assert outcome == Scored({"answer": 6, "reference": 8, "ratio": 0.75}, '{"answer": 6, "reference": 8}')


def test_derived_metric_that_has_no_value_leaves_the_others_alone():
    outcome = outcome_of(BOTH, [said('{"answer": 6, "reference": 0}')])
    assert (outcome.metrics["answer"], outcome.metrics["reference"]) == (6, 0)
    assert str(outcome.metrics["ratio"]) == "nan"


def test_refusal_is_a_failure_that_keeps_the_words():
    assert outcome_of(BOTH, [said("No: 5 and 5", refused=True)]) == Failed("the judge refuses", "No: 5 and 5")


@pytest.mark.parametrize(
    ("verdicts", "win"),
    [
        (("first", "second"), 1),
        (("second", "first"), 0),
        (("first", "first"), 0.5),
        (("second", "second"), 0.5),
        (("tie", "tie"), 0.5),
        (("first", "tie"), 0.5),
        (("tie", "first"), 0.5),
    ],
)
def test_answer_wins_only_if_it_is_better_in_both_orders(verdicts, win):
    assert outcome_of(read_rubric("pairwise"), list(map(said, verdicts))).metrics == {"win": win}


def test_comparison_of_which_one_order_cannot_be_read_fails():
    assert outcome_of(read_rubric("pairwise"), [said("first"), said("?")]) == Failed(
        "the judge's answer does not say which is better", "first\n\n?"
    )


def test_pairwise_rubric_asks_in_both_orders():
    one, other = conversations_about(
        Rubric(prompt="{{ first }}|{{ second }}", pairwise=True), "mine", "reference", item("p", "r", "s"), None
    )
    assert (one[-1]["content"].split("\n")[0], other[-1]["content"].split("\n")[0]) == ("p|r", "r|p")


def test_comparison_with_the_base_model_takes_its_answer_to_the_same_question():
    rubric = Rubric(prompt="{{ first }}|{{ second }}", pairwise=True)
    base = {("1", 0, 0): "b", ("1", 1, 0): "c", ("1", 0, 1): "d"}
    for fields, expected in (({}, "p|b"), ({"sample": 1}, "p|c"), ({"part": 1}, "p|d")):
        assert conversations_about(rubric, "mine", "base", item("p", "r", **fields), base)[0][-1]["content"].startswith(
            f"{expected}\n"
        )
    assert conversations_about(rubric, "mine", "base", item("p", "r", sample=2), base) == Failed(
        "the base model has no answer to compare with"
    )
    assert conversations_about(rubric, "mine", "base", item("p", "r"), None) is None


def test_the_same_text_is_a_tie_about_which_nobody_is_asked():
    assert conversations_about(read_rubric("pairwise"), "pairwise", "reference", item("r", "r"), None).metrics == {"win": 0.5}


def test_request_has_only_what_is_asked_for():
    messages = [{"role": "user", "content": "?"}]
    usual = {"model": "m", "messages": messages, "temperature": 0, "max_tokens": 512}
    assert request(settings(), messages, None) == usual
    assert request(settings(settings={"seed": 1, "top_p": None}), messages, {"type": "x"}) == usual | {
        "seed": 1,
        "response_format": {"type": "x"},
    }
    plain = request(settings(temperature=None, length_field="max_completion_tokens", max_new_tokens=9), messages, None)
    assert plain == {"model": "m", "messages": messages, "max_completion_tokens": 9}


def test_form_of_the_answer_is_made_of_the_rubric():
    rubric = Rubric(prompt="x", scores={"a": Range(minimum=0, maximum=1, description="whether it is true."), "b": TEN})
    assert form_in_words(rubric) == (
        'Answer with one JSON object and nothing else: {"a": …, "b": …}, where each … is a number:\n'
        '- "a": from 0 (worst) to 1 (best); whether it is true.\n- "b": from 0 (worst) to 10 (best).'
    )
    form = response_format(rubric)["json_schema"]
    assert (form["strict"], form["schema"]["required"], form["schema"]["additionalProperties"]) == (True, ["a", "b"], False)
    assert response_format(read_rubric("pairwise"))["json_schema"]["schema"]["properties"]["better"]["enum"] == [
        "first",
        "second",
        "tie",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "'response_format.type' must be 'text'",
        "This response_format type is unavailable now",
        "Invalid schema: json_schema is not supported",
        "guided decoding failed",
    ],
)
def test_refusal_of_the_form_is_told_from_others(said):
    assert blames_format(said)
    assert not blames_format("This model's maximum context length is 4096 tokens")


def test_reply_is_read_with_its_tokens_or_with_the_most_that_they_can_be():
    choice = {"message": {"content": "7"}, "finish_reason": "length"}
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    assert read_reply({"choices": [choice], "usage": usage}, Tokens(99, 9)) == Judgement("7", False, True, 5, 2)
    for other in (None, {}, {"prompt_tokens": None, "completion_tokens": 2}):
        assert read_reply({"choices": [choice], "usage": other}, Tokens(99, 9))[3:] == (99, 9)
    refusal = {"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}
    assert read_reply({"choices": [refusal], "usage": usage}, Tokens(99, 9)) == Judgement("No.", True, False, 5, 2)
    for junk in (None, {}, {"choices": []}, {"choices": [{"message": None}]}, {"choices": [{"message": {"content": 7}}]}):
        with pytest.raises(ValueError, match="the reply"):
            read_reply(junk, Tokens(99, 9))


def test_half_a_character_in_a_reply_neither_loses_it_nor_has_it_asked_again(tmp_path):
    reply = {"choices": [{"message": {"content": "7 \ud83d"}, "finish_reason": "length"}], "usage": None}
    judgement = read_reply(reply, Tokens(9, 9))
    assert judgement.text == "7 ?"
    ledger = ledger_of(tmp_path / "s.jsonl", settings())
    ledger.close(ledger.enter(Tokens(9, 9), threading.Event()), Tokens(9, 9), Tokens(1, 1), {"k": judgement})
    assert ledger_of(tmp_path / "s.jsonl", settings()).judgements == {"k": judgement}


def test_requests_start_evenly_spaced():
    assert next_start(last=100, now=100.2, per_minute=60) == 101
    assert next_start(last=100, now=100.2, per_minute=120) == 100.5
    assert next_start(last=100, now=130, per_minute=60) == 130
    assert next_start(last=100, now=100.2, per_minute=None) == 100.2
    start, starts = 0.0, []
    for now in (0.1, 0.1, 0.1, 2.7, 9.0):
        start = next_start(start, now, 60)
        starts.append(start)
    assert starts == [1, 2, 3, 4, 9]


def test_bound_is_more_than_any_tokenizer_makes_of_a_request(tokenizer):
    for text in ("plain words", "日本語のテキスト", "🦙" * 50, "\n\t\"'\\" * 20, ""):
        fields = request(settings(), [{"role": "user", "content": text}], response_format(BOTH))
        conversation = tokenizer.apply_chat_template(fields["messages"], add_generation_prompt=True, return_dict=False)
        assert upper_bound(fields, 7).prompt > len(conversation)
        assert upper_bound(fields, 7).new == 7


def paid(**values):
    # Each prompt token costs 1, each new one 2.
    return settings(price={"million_prompt_tokens": 1e6, "million_new_tokens": 2e6}, **values)


def test_ledger_lets_requests_pass_while_the_most_that_they_can_cost_is_there(tmp_path):
    ledger, stopping = ledger_of(tmp_path / "s.jsonl", paid(budget=100)), threading.Event()
    entry = ledger.enter(Tokens(40, 10), stopping)
    ledger.close(entry, Tokens(40, 10), Tokens(20, 5), {"k": said("7", prompt_tokens=20, new_tokens=5)})
    with pytest.raises(OverBudgetError):
        ledger.enter(Tokens(51, 10), stopping)
    ledger.enter(Tokens(50, 10), stopping)
    assert ledger.total == (70, 15)


def test_request_waits_for_those_in_flight_which_may_cost_less_than_they_could(tmp_path):
    ledger, stopping = ledger_of(tmp_path / "s.jsonl", paid(budget=100)), threading.Event()
    bound = Tokens(60, 10)
    first = ledger.enter(bound, stopping)
    waiting = threading.Thread(target=ledger.enter, args=(bound, stopping))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    ledger.close(first, bound, Tokens(10, 2), {"k": said("7", prompt_tokens=10, new_tokens=2)})
    waiting.join(5)
    assert not waiting.is_alive()
    assert ledger.total == (70, 12)


def test_waiting_requests_end_where_an_answer_cannot_be_kept(tmp_path, monkeypatch):
    ledger, stopping = ledger_of(tmp_path / "s.jsonl", paid(budget=100)), threading.Event()
    bound = Tokens(60, 10)
    first = ledger.enter(bound, stopping)

    def wait():
        with pytest.raises(OverBudgetError):
            ledger.enter(bound, stopping)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("loragrid.scoring.judge_ledger.append_to_journal", full)
    with pytest.raises(OSError, match="no space"):
        ledger.close(first, bound, Tokens(10, 2), {"k": said("7")})
    waiting.join(5)
    assert not waiting.is_alive()


def test_request_whose_answer_never_came_counts_for_later_runs_too(tmp_path):
    store, stopping = tmp_path / "s.jsonl", threading.Event()
    ledger = ledger_of(store, paid(budget=100))
    ledger.enter(Tokens(60, 10), stopping)
    again = ledger_of(store, paid(budget=100))
    assert (again.total, again.judgements) == ((60, 10), {})
    with pytest.raises(OverBudgetError):
        again.enter(Tokens(60, 10), stopping)


def test_request_that_the_server_did_not_take_costs_nothing(tmp_path):
    ledger = ledger_of(tmp_path / "s.jsonl", paid(budget=100))
    ledger.close(ledger.enter(Tokens(60, 10), threading.Event()), Tokens(60, 10), Tokens(0, 0), {})
    assert ledger_of(tmp_path / "s.jsonl", paid(budget=100)).total == ledger.total == (0, 0)


def test_answers_are_kept_for_all_judges_that_are_asked_the_same():
    hurried = {"concurrency": 1, "retries": 0, "requests_per_minute": 5, "timeout_s": 1, "base_url_variable": "OTHER"}
    assert judge_store(settings()) == judge_store(paid(budget=3, **hurried))
    assert settings().decisive_settings() == paid(budget=3, **hurried).decisive_settings()
    for other in ({"model": "n"}, {"temperature": 1}, {"max_new_tokens": 5}, {"rubric": "pairwise"}, {"settings": {"seed": 1}}):
        assert judge_store(settings(**other)) != judge_store(settings())


def test_other_derived_metrics_are_made_of_the_answers_that_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(rubrics, "FOLDER", tmp_path)
    for name, more in (("one", "derived: {half: a / 2}"), ("two", "derived: {double: a * 2}"), ("three", "system: Be kind.")):
        (tmp_path / f"{name}.yaml").write_text(f"prompt: x\nscores: {{a: {{minimum: 0, maximum: 1}}}}\n{more}")
    one, two, three = (settings(rubric=name) for name in ("one", "two", "three"))
    assert one.decisive_settings() != two.decisive_settings()
    assert judge_store(one) == judge_store(two) != judge_store(three)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"budget": 1}, "budget needs a price of tokens"),
        ({"budget": 1, "price": {}}, "budget needs a price of tokens"),
        ({"price": {"hour": 1}}, "price.hour: a judge is paid by its tokens"),
        ({"settings": {"n": 3}}, "settings.n: this field of a request is not to be set"),
        ({"settings": {"max_tokens": 3}}, "settings.max_tokens: this field"),
    ],
)
def test_settings_with_which_a_budget_could_not_be_kept_are_refused(values, sentence):
    with pytest.raises(ValidationError, match=sentence):
        settings(**values)


def test_kept_answers_are_plain_json(tmp_path):
    ledger = ledger_of(tmp_path / "s.jsonl", settings())
    ledger.close(ledger.enter(Tokens(9, 9), threading.Event()), Tokens(9, 9), Tokens(1, 1), {"k": said("é")})
    last = json.loads((tmp_path / "s.jsonl").read_text().splitlines()[-1])
    assert last["k"] == {"text": "é", "refused": False, "cut_off": False, "prompt_tokens": 1, "new_tokens": 1}


def test_what_a_judge_fails_to_say_is_no_fault_of_the_model_that_it_judges():
    judge = {"type": "judge", "model": "m"}
    assert parse_scorer(judge | {"rubric": "pairwise"}).facts().worst == {"win": None}
    assert parse_scorer(judge | {"rubric": "both_0_10"}).facts().worst == dict.fromkeys(("answer", "reference", "ratio"))


def test_only_means_over_the_answers_to_several_prompts_are_made_again():
    judge = {"type": "judge", "model": "m"}
    editions = [parse_scorer(judge | {"rubric": rubric}).edition_for(True) for rubric in ("both_0_10", "pairwise")]
    assert editions == [1, 0]
    assert parse_scorer(judge | {"rubric": "both_0_10"}).edition_for(False) == 0
