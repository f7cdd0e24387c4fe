"""Replies of a judge that cannot be used, with the sentence that each must produce."""

import pytest

from loragrid.scoring.judge_asking import read_reply
from loragrid.scoring.judge_conversations import outcome_of
from loragrid.scoring.judge_ledger import Judgement, Tokens
from loragrid.scoring.protocol import Failed
from loragrid.scoring.rubrics import Range, Rubric

TEN = Range(minimum=0, maximum=10)
ONE = Rubric(prompt="x", scores={"score": TEN})
TWO = Rubric(prompt="x", scores={"is_true": TEN, "style": TEN})
PAIR = Rubric(prompt="x", pairwise=True)
NONE, UNCLEAR = "the judge's answer has no 'score'", "the judge's answer does not say which is better"


def reason(rubric, *texts, **fields):
    of_judgement = {"refused": False, "cut_off": False, "prompt_tokens": 1, "new_tokens": 1} | fields
    outcome = outcome_of(rubric, [Judgement(text=text, **of_judgement) for text in texts])
    assert isinstance(outcome, Failed)
    return outcome.reason


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", NONE),
        ("I cannot judge this.", NONE),
        ("It is one of the best.", NONE),
        ("The score is one of the highest.", NONE),
        ('{"Score": 8, "score": 9}', "the judge's answer has several 'score': 8, 9"),
        ('{"score": 8, "score": 9}', "the judge's answer has several 'score': 8, 9"),
        ('{"score": 9, "s_c_o_r_e": "8/10"}', "the judge's answer has several 'score': 9, 8"),
        ('{"score": 8} {"score": 9}', "the judge's answer has several 'score': 8, 9"),
        ("Score: 8\nScore: 9", "the judge's answer has several 'score': 8, 9"),
        ("Score: eight\nScore: 9", "the judge's answer has several 'score': 8, 9"),
        ("Score: 8 to nine.", "the judge's answer has several 'score': 8, 9"),
        ('{"score": "eight", "Score": 9}', "the judge's answer has several 'score': 8, 9"),
        ('{"score": NaN}', "the judge's 'score' is nan, outside 0 to 10"),
        ('{"score": -Infinity}', "the judge's 'score' is -inf, outside 0 to 10"),
        ('{"score": 1e999}', "the judge's 'score' is inf, outside 0 to 10"),
        ('{"score": 80}', "the judge's 'score' is 80, outside 0 to 10"),
        ('{"score": "80/100"}', "the judge's 'score' is 80/100, not on the scale up to 10"),
        ("Score: 80/100", "the judge's 'score' is 80/100, not on the scale up to 10"),
        ('{"score": "eleven"}', "the judge's 'score' is no number"),
        ('{"score": [8]}', "the judge's 'score' is no number"),
        ('{"score": {"value": 8}}', "the judge's 'score' is no number"),
        ('{"score": false}', "the judge's 'score' is no number"),
        ("<think>Score: 8", NONE),
        ('{"a":' * 20_000, NONE),
    ],
)
def test_score_that_cannot_be_used_is_no_score(text, sentence):
    assert reason(ONE, text) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"is_true": 8}', "the judge's answer has no 'style'"),
        ('{"is_true": 8, "isTrue": 9, "style": 1}', "the judge's answer has several 'is_true': 8, 9"),
        ('{"is true": 8, "style": 1}\n{"is_true": 7, "style": 1}', "the judge's answer has several 'is_true': 8, 7"),
        ('{"style": 8, "is_true": 12}', "the judge's 'is_true' is 12, outside 0 to 10"),
    ],
)
def test_one_of_several_scores_that_cannot_be_used_leaves_none(text, sentence):
    assert reason(TWO, text) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Both are good.",
        '{"better": "first", "winner": "second"}',
        '{"better": "first", "better": "second"}',
        '{"Better": "A", "better": "B"}',
        '{"better": "first"} {"better": "second"}',
        '{"better": true}',
        "[[A]] [[B]]",
        "(" * 50_000,
        "better: " + " " * 50_000,
    ],
    ids=lambda text: text[:30],
)
def test_verdict_that_is_not_clear_is_no_verdict(text):
    assert reason(PAIR, text, '{"better": "tie"}') == UNCLEAR


def test_refusal_and_number_that_may_lack_digits():
    assert reason(ONE, "I will not say 8.", refused=True) == "the judge refuses"
    assert reason(ONE, '{"score": 1', cut_off=True) == NONE


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (None, "the reply lacks an answer"),
        ([], "the reply lacks an answer"),
        ({}, "the reply lacks an answer"),
        ({"choices": None}, "the reply lacks an answer"),
        ({"choices": []}, "the reply lacks an answer"),
        ({"choices": [None]}, "the reply lacks an answer"),
        ({"choices": [{"message": None}]}, "the reply lacks an answer"),
        ({"choices": [{"message": {"content": 7}}]}, "the reply's content is no text"),
        ({"choices": [{"message": {"content": "7", "refusal": 1}}]}, "the reply's content is no text"),
        ({"choices": [{"message": {"content": [7]}}]}, "the reply lacks an answer"),
        ({"choices": {"message": "7"}}, "the reply lacks an answer"),
    ],
    ids=str,
)
def test_reply_without_an_answer_is_told_in_a_sentence(reply, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        read_reply(reply, Tokens(9, 9))


def test_scores_that_a_judge_could_not_tell_apart_are_refused_in_the_rubric():
    with pytest.raises(ValueError, match="the scores 'is_true' and 'isTrue' cannot be told apart in a judge's answer"):
        Rubric(prompt="x", scores={"is_true": TEN, "isTrue": TEN})
