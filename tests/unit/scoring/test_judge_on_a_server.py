"""The scorer `judge` against a real server, well and badly behaved."""

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from loragrid.errors import UserError
from loragrid.runtime.journal import read_journal
from loragrid.scoring.judge_ledger import Ledger, cost
from loragrid.scoring.judging import judge
from loragrid.scoring.protocol import Failed, Scored
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.scorer import ScorerInputs
from servers import KEY, PATIENCE_S, refusing, saying
from unit.scoring.answers import item

ITEMS = [
    item("Paris", "Paris", instruction="Name the capital of France."),
    item("It is cold water.", "Frozen water.", instruction="What is this?", input="Ice."),
    item("Eight", "8", "eight", instruction="How many legs has a spider?"),
    item("Blue", "Any colour.", instruction="Name a colour."),
]
SEVEN = '{"score": 7}'


@pytest.fixture
def settings(smollm2):
    def make(**values):
        usual = {"type": "judge", "rubric": "against_reference_0_100", "model": str(smollm2), "concurrency": 1, "retries": 1}
        return parse_scorer(usual | {"max_new_tokens": 16} | values)

    return make


@pytest.fixture
def ask(gate, settings, tmp_path):
    """Judge answers; gives the outcomes."""

    def do(items=ITEMS, base=None, **values):
        return judge("strict", settings(**values), base, tmp_path / "store.jsonl")(items)

    return do


def scores(outcomes):
    return [outcome.metrics["score"] if isinstance(outcome, Scored) else None for outcome in outcomes]


def test_real_model_judges_and_is_not_asked_again(gate, ask):
    items = [*ITEMS, item("", "Paris", instruction="Name the capital of France."), item("word " * 2000, "r"), ITEMS[0]]
    first = ask(items, concurrency=2)
    assert len(gate.requests) == 6
    for outcome, usage in zip(first, [1] * 6 + [0], strict=True):
        assert isinstance(outcome, Scored | Failed)
        assert outcome.detail is not None
        assert outcome.usage["calls"] == usage
        assert (outcome.usage["prompt_tokens"] > 100) == (outcome.usage["new_tokens"] > 0) == bool(usage)
        if isinstance(outcome, Scored):
            assert 0 <= outcome.metrics["score"] <= 100
    assert first[5].usage["prompt_tokens"] > 2000
    assert first[6][:2] == first[0][:2]
    assert gate.most_in_flight == 2
    assert ask(items, concurrency=2) == first
    assert len(gate.requests) == 6


def test_what_the_judge_says_is_read_and_kept_in_the_row(gate, ask):
    said = ['```json\n{"score": 70}\n```', '{"score": 80, "why": "It is', "I cannot judge this.", '{"score": 101}']
    gate.faults = [saying(said[0]), saying(said[1], "length"), saying(said[2]), saying(said[3])]
    outcomes = ask()
    assert scores(outcomes) == [70, 80, None, None]
    assert [outcome.detail for outcome in outcomes] == said
    assert [outcome.reason for outcome in outcomes[2:]] == [
        "the judge's answer has no 'score'",
        "the judge's 'score' is 101, outside 0 to 100",
    ]
    assert [outcome.usage for outcome in outcomes] == [{"calls": 1, "prompt_tokens": 100, "new_tokens": 10}] * 4


def test_refusals_are_failures_that_are_kept_too(gate, ask):
    gate.faults = [
        saying(None, refusal="I will not."),
        saying('{"score": 1', "length"),
        saying(None),
        saying("", "content_filter"),
    ]
    outcomes = ask()
    assert [outcome.reason for outcome in outcomes] == [
        "the judge refuses",
        "the judge's answer has no 'score'",
        "the judge's answer has no 'score'",
        "the judge refuses",
    ]
    assert outcomes[0].detail == "I will not."
    assert ask() == outcomes
    assert len(gate.requests) == 4


@pytest.mark.parametrize("fault", ["429", "500", "503", "malformed", "empty", "dropped", "slow"])
def test_fault_that_passes_costs_one_more_request_and_changes_nothing(gate, ask, fault):
    gate.faults, gate.then = [saying('{"score": 3}'), fault], saying(SEVEN)
    assert scores(ask(timeout_s=5)) == [3, 7, 7, 7]
    assert len(gate.requests) == 5


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("429", "answered 429: .*fault 429.* It was asked 2 times."),
        ("500", "answered 500: .*fault 500.* It was asked 2 times."),
        ("malformed", "sent a reply that cannot be read .* It was asked 2 times."),
        ("dropped", "closed the connection without a whole reply. It was asked 2 times."),
        ("404", "answered 404: .*fault 404"),
    ],
)
def test_fault_that_stays_ends_in_a_sentence_and_keeps_what_was_answered(gate, ask, fault, sentence):
    gate.faults, gate.then = [saying(SEVEN)] * 2, fault
    with pytest.raises(UserError, match=f"^scorers.strict: the server in OPENAI_BASE_URL {sentence}"):
        ask()
    gate.requests.clear()
    gate.then = saying('{"score": 3}')
    assert scores(ask()) == [7, 7, 3, 3]
    assert len(gate.requests) == 2


def test_server_that_is_down_is_named_by_its_variable_and_costs_nothing(gate, ask, settings, tmp_path, monkeypatch):
    gate.server.shutdown()
    gate.server.server_close()
    with pytest.raises(
        UserError,
        match=r"^scorers.strict: the server in OPENAI_BASE_URL cannot be reached: nothing listens there\. .* It was asked 2 times",
    ):
        ask()
    assert Ledger(tmp_path / "store.jsonl", None, None).total == (0, 0)
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(
        UserError, match=r"^scorers.strict: the environment variable OPENAI_BASE_URL must hold the server's address"
    ):
        ask()


def test_request_that_the_server_does_not_take_is_a_failure_of_that_answer(gate, ask):
    gate.faults, gate.then = [saying(SEVEN), refusing(400, "This model's maximum context length is 9 tokens")], saying(SEVEN)
    outcomes = ask()
    assert scores(outcomes) == [7, None, 7, 7]
    assert outcomes[1].reason.startswith("scorers.strict: the server in OPENAI_BASE_URL answered 400: ")
    assert "maximum context length" in outcomes[1].reason


def test_server_that_takes_no_request_ends_the_job(gate, ask):
    gate.then = refusing(422, "unknown field temperature")
    with pytest.raises(
        UserError, match=r"^scorers.strict: the server in OPENAI_BASE_URL answered 422: .*unknown field temperature"
    ):
        ask()
    assert len(gate.requests) == 4


def test_server_that_enforces_no_form_is_asked_without(gate, ask):
    gate.faults, gate.then = [refusing(400, "response_format is not supported")], saying(SEVEN)
    assert scores(ask()) == [7] * 4
    assert ["response_format" in request for request in gate.requests] == [True, False, False, False, False]
    gate.requests.clear()
    assert scores(ask()) == [7] * 4
    assert not gate.requests


@pytest.mark.parametrize(("structured", "sent"), [("auto", True), ("json_schema", True), ("off", False)])
def test_form_is_asked_for_as_configured_and_always_told_in_words(gate, ask, structured, sent):
    gate.then = saying(SEVEN)
    ask(structured=structured)
    for request in gate.requests:
        assert ("response_format" in request) == sent
        assert '"score": from 0 (worst) to 100 (best)' in request["messages"][-1]["content"]


def test_server_that_must_enforce_the_form_and_does_not_ends_the_job(gate, ask):
    gate.then = refusing(400, "response_format is not supported")
    with pytest.raises(UserError, match=r"answered 400: .*response_format is not supported"):
        ask(structured="json_schema")


def test_pairs_are_judged_in_both_orders(gate, ask):
    gate.faults = [saying(f'{{"better": "{one}"}}') for one in ("first", "second", "second", "first", "first", "first")]
    same = item("Paris", "Paris")
    outcomes = ask([item("a", "b"), item("c", "d"), item("e", "f"), same], rubric="pairwise")
    assert [outcome.metrics["win"] for outcome in outcomes] == [1, 0, 0.5, 0.5]
    assert outcomes[0].usage == {"calls": 2, "prompt_tokens": 200, "new_tokens": 20}
    assert len(gate.requests) == 6


def test_pair_of_which_one_order_is_not_taken_fails_and_tells_what_the_other_cost(gate, ask):
    gate.faults = [saying("first"), refusing(413, "too long")]
    [outcome] = ask([item("a", "b")], rubric="pairwise")
    assert "answered 413" in outcome.reason
    assert outcome.usage == {"calls": 1, "prompt_tokens": 100, "new_tokens": 10}


def priced(**values):
    # A token of a prompt costs 1, a new one 2.
    return {"price": {"million_prompt_tokens": 1e6, "million_new_tokens": 2e6}} | values


def test_job_ends_before_the_budget_is_exceeded_and_goes_on_with_a_larger_one(gate, ask, settings, tmp_path):
    gate.then = saying(SEVEN, usage=(1000, 16))
    # What a request can cost at most is above 1032.
    with pytest.raises(UserError) as error:
        ask(concurrency=4, **priced(budget=4500))
    spent = Ledger(tmp_path / "store.jsonl", None, None).total
    calls = len(gate.requests)
    assert spent == (calls * 1000, calls * 16)
    assert cost(spent, settings(**priced()).price) <= 4500
    assert 0 < calls < 4
    assert str(error.value).startswith(f"scorers.strict.budget: {calls * 1032} of 4500 is spent")
    assert f"{4 - calls} of 4 judgements are missing" in str(error.value)
    assert "raise scorers.strict.budget" in str(error.value)
    assert scores(ask(**priced(budget=20000))) == [7] * 4
    assert len(gate.requests) == 4
    assert scores(ask(**priced(budget=0.1))) == [7] * 4


@pytest.mark.parametrize("fault", ["dropped", "malformed"])
def test_retries_do_not_exceed_the_budget(gate, ask, settings, tmp_path, fault):
    gate.then = fault
    with pytest.raises(UserError, match=r"strict\.budget"):
        ask(concurrency=2, retries=9, **priced(budget=5000))
    spent = cost(Ledger(tmp_path / "store.jsonl", None, None).total, settings(**priced()).price)
    assert 0 < spent <= 5000
    assert len(gate.requests) == len([one for one in read_journal(tmp_path / "store.jsonl").values() if one])


def test_tokens_that_the_server_does_not_count_are_counted_as_the_most_that_they_can_be(gate, ask, settings, tmp_path):
    gate.then = saying(SEVEN, usage=None)
    [outcome] = ask(ITEMS[:1])
    assert outcome.usage["prompt_tokens"] > len(gate.requests[0]["messages"][-1]["content"])
    assert outcome.usage["new_tokens"] == 16
    assert Ledger(tmp_path / "store.jsonl", None, None).total == (outcome.usage["prompt_tokens"], 16)


PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = ["tests", "tests/unit/scoring"]
from test_judge_on_a_server import ITEMS
from loragrid.scoring.judging import judge
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.scorer import ScorerInputs
judge("strict", parse_scorer({values}), None, Path({store!r}))(ITEMS)
"""


def test_job_that_was_killed_goes_on_where_it_was(gate, ask, settings, tmp_path):
    gate.faults, gate.then = [saying(SEVEN)] * 2, "slow"
    program = PROGRAM.format(values=settings().model_dump(), store=str(tmp_path / "store.jsonl"))
    environment = os.environ | {"PYTHONPATH": "workflow/scripts"}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    until = time.monotonic() + PATIENCE_S
    while len(gate.requests) < 3:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.kill()
    process.wait()
    gate.requests.clear()
    gate.then = saying('{"score": 3}')
    assert scores(ask()) == [7, 7, 3, 3]
    assert len(gate.requests) == 2
    # The request that was under way may have been charged.
    total = Ledger(tmp_path / "store.jsonl", None, None).total
    assert total.prompt > 400 + 256
    assert total.new == 4 * 10 + 16


def test_only_one_job_at_a_time_asks_a_judge_and_no_other_asks_the_same(gate, ask, caplog):
    gate.then = saying(SEVEN)
    gate.opened.clear()
    found = {}
    with caplog.at_level(logging.INFO, "loragrid"):
        jobs = [threading.Thread(target=lambda i=i: found.update({i: ask(concurrency=2)})) for i in range(3)]
        for job in jobs:
            job.start()
        until = time.monotonic() + 60
        while "another job is asking" not in caplog.text and time.monotonic() < until:
            time.sleep(0.05)
        gate.opened.set()
        for job in jobs:
            job.join()
    assert [scores(found[i]) for i in range(3)] == [[7] * 4] * 3
    assert len(gate.requests) == 4
    assert gate.most_in_flight <= 2
    assert "another job is asking the judge of scorers.strict" in caplog.text


def test_requests_are_spaced_as_the_limit_says(gate, ask):
    gate.then = saying(SEVEN)
    started = time.monotonic()
    ask(concurrency=4, requests_per_minute=300)
    assert time.monotonic() - started >= 0.8


def test_log_says_what_it_cost(gate, ask, caplog):
    gate.then = saying(SEVEN)
    with caplog.at_level(logging.INFO, "loragrid"):
        ask(**priced())
    assert "judged with 4 calls: 400 prompt tokens, 40 new tokens, cost 480; this judge has cost 480 so far" in caplog.text


def test_key_is_told_to_nobody(gate, ask, tmp_path, caplog, capfd, monkeypatch):
    gate.faults, gate.then = [refusing(400, f"not with {KEY}"), "500"], saying(SEVEN)
    with caplog.at_level(logging.DEBUG, "loragrid"):
        outcomes = ask()
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}-and-wrong")
        with pytest.raises(UserError, match=r"refuses the key in OPENAI_API_KEY \(401\)") as error:
            ask()
    assert "not with …" in outcomes[0].reason
    told = [repr(outcomes), str(error.value), caplog.text, *capfd.readouterr()]
    told += [file.read_text() for file in Path(tmp_path).rglob("*") if file.is_file()]
    assert not [text for text in told if KEY in text]


def test_judge_is_asked_for_nothing_that_needs_no_asking(gate, ask, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert ask([item("x", "x")], rubric="pairwise")[0].metrics == {"win": 0.5}
    assert ask([item("x", "y")], rubric="pairwise", against="base") == [None]


def test_same_judge_on_another_server_is_asked_for_itself(gate, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("loragrid.scoring.scorers.judge.JUDGEMENT_STATES", str(tmp_path))
    gate.then = saying(SEVEN)
    assert scores(settings().build(ScorerInputs("strict"))(ITEMS)) == [7] * 4
    monkeypatch.setenv("OTHER_URL", gate.address.replace("127.0.0.1", "localhost"))
    gate.then = saying('{"score": 3}')
    other = settings(base_url_variable="OTHER_URL")
    for _ in range(2):
        assert scores(other.build(ScorerInputs("other"))(ITEMS)) == [3] * 4
        assert scores(settings().build(ScorerInputs("strict"))(ITEMS)) == [7] * 4
    assert len(gate.requests) == 8
    assert not [path for path in tmp_path.iterdir() if "localhost" in path.name or "localhost" in path.read_text()]
