"""The key `rejudge`: a judge is asked again where what it says cannot be read, and only there."""

import json
import logging

import pytest

from loragrid.runtime.journal import read_journal
from loragrid.scoring.judge_ledger import Ledger
from loragrid.scoring.judging import judge
from loragrid.scoring.protocol import Scored
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.scorers.judge import judge_store
from servers import KEY, Gate, refusing, saying
from unit.scoring.answers import item

ITEMS = [item("Paris", "Paris", instruction="Name the capital of France."), item("Blue", "Any colour.", instruction="A colour?")]
SEVEN = '{"score": 7}'


@pytest.fixture
def server(monkeypatch):
    """A server that says what it is told to say."""
    found = Gate("http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_BASE_URL", found.address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    yield found
    found.server.shutdown()


def settings(**values):
    usual = {"type": "judge", "rubric": "against_reference_0_100", "model": "m", "concurrency": 1, "retries": 0}
    return parse_scorer(usual | values)


@pytest.fixture
def ask(server, tmp_path):
    def do(items=ITEMS, **values):
        return judge("strict", settings(**values), None, tmp_path / "store.jsonl")(items)

    return do


def scores(outcomes):
    return [outcome.metrics["score"] if isinstance(outcome, Scored) else outcome.reason for outcome in outcomes]


def test_only_what_could_not_be_read_is_asked_again_and_all_else_is_kept(server, ask):
    server.faults = [saying(SEVEN), saying("A fine answer!")]
    assert scores(ask()) == [7, "the judge's answer has no 'score'"]
    server.faults = [saying('{"score": 40}')]
    assert scores(ask(rejudge=1)) == [7, 40]
    assert len(server.requests) == 3
    # The judge is shown what it said and why that does not do: at temperature 0 it would say the same to the same.
    *before, said, advice = server.requests[-1]["messages"]
    assert before == server.requests[1]["messages"]
    assert said == {"role": "assistant", "content": "A fine answer!"}
    assert advice["role"] == "user"
    assert advice["content"].startswith(
        "Your answer cannot be used: the judge's answer has no 'score'. Answer with one JSON object"
    )
    # Nothing is asked twice, and without the key the judgements are those of before.
    assert scores(ask(rejudge=2)) == [7, 40]
    assert scores(ask()) == [7, "the judge's answer has no 'score'"]
    assert len(server.requests) == 3


def test_judge_that_goes_on_babbling_is_asked_as_often_as_the_key_says(server, ask, caplog):
    server.then = saying("Hmm.")
    with caplog.at_level(logging.INFO, "loragrid"):
        [outcome] = ask(ITEMS[:1], rejudge=2)
    assert (outcome.reason, outcome.detail) == ("the judge's answer has no 'score'", "Hmm.")
    assert outcome.usage == {"calls": 3, "prompt_tokens": 300, "new_tokens": 30}
    assert [len(request["messages"]) for request in server.requests] == [2, 4, 6]
    assert "1 judgements cannot be read: asked again (2 of 2 times)" in caplog.text


@pytest.mark.parametrize("empty", [saying(""), saying(None), saying("<think>Is it 7?</think>")])
def test_nobody_is_sent_an_empty_message(server, ask, empty):
    server.faults = [empty, saying(SEVEN)]
    assert scores(ask(ITEMS[:1], rejudge=1)) == [7]
    _, message = server.requests[-1]["messages"]
    assert message["content"].startswith(server.requests[0]["messages"][1]["content"] + "\n\nYour answer cannot be used: ")


def test_refusal_is_asked_again_and_what_the_server_does_not_take_stays_as_it_was(server, ask):
    server.faults = [saying(None, refusal="No."), saying("?"), saying(SEVEN), refusing(400, "too long")]
    assert scores(ask(rejudge=1)) == [7, "the judge's answer has no 'score'"]
    assert len(server.requests) == 4


def test_key_that_a_judge_quotes_gets_into_no_file(server, ask, tmp_path):
    server.faults = [saying(f'{{"score": 7}} Bearer {KEY}'), saying(None, refusal=f"Not with {KEY}.")]
    outcomes = ask()
    assert [one.detail for one in outcomes] == ['{"score": 7} Bearer …', "Not with …."]
    assert KEY not in (tmp_path / "store.jsonl").read_text()


def test_of_a_pair_only_the_order_that_cannot_be_read_is_asked_again(server, ask):
    server.faults = [saying("first"), saying("Well."), saying("second")]
    [outcome] = ask([item("a", "b")], rubric="pairwise", rejudge=1)
    assert outcome.metrics == {"win": 1}
    assert outcome.usage["calls"] == 3
    assert len(server.requests[-1]["messages"]) == 4


def test_key_leaves_judgements_and_other_jobs_alone_and_counts_in_the_plan():
    assert judge_store(settings()) == judge_store(settings(rejudge=3))
    assert "rejudge" not in settings().decisive_settings()
    assert settings(rejudge=3).decisive_settings()["rejudge"] == 3
    assert [settings(rejudge=n).requests.per_answer for n in (0, 2)] == [1, 3]


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1000, "completion_tokens": 10},
        {"prompt_tokens": 100, "completion_tokens": float("inf")},
        {"prompt_tokens": float("nan"), "completion_tokens": 10},
        {"prompt_tokens": 10**15, "completion_tokens": 10},
        {"prompt_tokens": "100", "completion_tokens": "10"},
        {"prompt_tokens": True, "completion_tokens": 10},
        {"prompt_tokens": 1.5, "completion_tokens": 10},
        {"prompt_tokens": 10**400, "completion_tokens": 10},
        {"prompt_tokens": 100},
        [100, 10],
        "cheap",
    ],
    ids=lambda usage: str(usage)[:60],
)
def test_usage_that_cannot_be_true_counts_as_the_most_that_it_can_be(server, ask, tmp_path, usage, caplog):
    server.then = saying(SEVEN) | {"usage": usage}
    with caplog.at_level(logging.INFO, "loragrid"):
        [outcome] = ask(ITEMS[:1], max_new_tokens=16)
    assert scores([outcome]) == [7]
    assert outcome.usage["prompt_tokens"] > 256
    assert outcome.usage["new_tokens"] == 16
    assert Ledger(tmp_path / "store.jsonl", None, None).total == (outcome.usage["prompt_tokens"], 16)
    assert "1 replies do not say how many tokens they have, or not believably" in caplog.text


def test_whole_number_may_be_written_as_a_float(server, ask):
    server.then = saying(SEVEN) | {"usage": {"prompt_tokens": 100.0, "completion_tokens": 10}}
    assert ask(ITEMS[:1])[0].usage == {"calls": 1, "prompt_tokens": 100, "new_tokens": 10}


def test_negative_numbers_that_were_kept_before_give_no_budget_back(tmp_path):
    store = tmp_path / "store.jsonl"
    kept = {"text": "7", "refused": False, "cut_off": False, "prompt_tokens": -5000, "new_tokens": 10}
    store.write_text(json.dumps({"k": kept}) + "\n")
    assert read_journal(store)
    assert Ledger(store, None, None).total == (0, 10)
