"""What the screen shows of a run."""

import os

import pytest

from loragrid.runtime.screen import about_copies, end_of, failure, last_words, main_reason, outcome, refused, why

REASONS = [
    (["output files have to be generated"], "output missing"),
    (["output files have to be generated", "input files updated by another job"], "output missing"),
    (["input files updated by another job"], "after another job of this list"),
    (["input files updated by another job", "params have changed since last execution"], "settings or version changed"),
    (["updated input files", "set of input files has changed since last execution"], "other input files than last time"),
    (["updated input files", "input files updated by another job"], "updated input files"),
    (["output files have to be generated", "incomplete output files"], "output incomplete"),
    (["forced", "updated input files"], "forced"),
    (["neither input nor output"], "always runs"),
    (["a reason of a later version"], "a reason of a later version"),
    ([], "needed by another job"),
]


@pytest.mark.parametrize(("reasons", "words"), REASONS)
def test_the_reason_that_counts_is_the_jobs_own(reasons, words):
    assert main_reason(reasons) == words


def test_reasons_are_counted_by_rule():
    jobs = (
        [("train", "settings or version changed")] * 12
        + [("score", "output missing")]
        + [("score", "after another job of this list")]
    )
    jobs += [("predict", "after another job of this list")] * 3 + [("merge", "something new")]
    assert why(jobs).splitlines() == [
        "Why:",
        "  settings or version changed: train 12",
        "  output missing: score 1",
        "  after another job of this list: predict 3, score 1",
        "  something new: merge 1",
    ]


def test_costly_jobs_that_run_for_newer_inputs_only_may_be_of_copied_results():
    touch = "snakemake --touch --cores 4"
    said = about_copies([("score", "updated input files"), ("train", "updated input files")], touch)
    assert said.startswith("\nUpdated input files are newer than what was made of them. If they were only copied,")
    assert said.endswith(f"\n  {touch}")
    assert about_copies([("score", "updated input files"), ("train", "settings or version changed")], touch) == ""


LOGS = {
    "one sentence": ("12:00:01 begins\nerror: data/a.csv, line 3: no text.\n", "data/a.csv, line 3: no text."),
    "several lines": ("error: 2 mistakes:\na\nb\n", "2 mistakes:\na\nb"),
    "a traceback before it": ("Traceback (most recent call last):\n  File x\nKeyError: 1\nerror: KeyError: 1\n", "KeyError: 1"),
    "an error that a library logs first": ("error: not ours\n12:00:03 more\nerror: ours\n", "ours"),
    "nothing": ("12:00:01 begins\n", None),
    "an empty log": ("", None),
    "no text": ("\udcff\udcfe\nerror: odd \udcff\n", "odd \ufffd"),
}


@pytest.mark.parametrize(("text", "sentence"), LOGS.values(), ids=LOGS.keys())
def test_sentence_of_a_failed_job_is_the_end_of_its_log(tmp_path, text, sentence):
    log = tmp_path / "log.txt"
    log.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert last_words(log) == sentence


def test_long_log_is_read_from_its_end(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("error: long ago\n" + "step\n" * 100_000 + "error: now\n")
    assert last_words(log) == "now"


def test_log_of_an_earlier_job_says_nothing_about_this_one(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("error: of yesterday\n")
    os.utime(log, (1000, 1000))
    assert last_words(log, since=2000) is None
    assert last_words(log, since=1000) == "of yesterday"
    assert last_words(tmp_path / "none.txt") is None


def test_failed_job_is_told_with_its_sentence_and_its_log():
    assert failure("Train a", "x is y.", ["results/logs/a.txt"]) == "Failed: Train a\n  x is y.\n  (log: results/logs/a.txt)"
    assert failure("Train a", "two:\n- b", []) == "Failed: Train a\n  two:\n  - b"
    assert failure("Train a", "no 'a\x1b[2J\u202eb\u00e9'", []) == "Failed: Train a\n  no 'a\\x1b[2J\\u202eb\u00e9'"


@pytest.mark.parametrize(
    ("error", "end"),
    [
        ("Command '['python', 'train.py']' died with <Signals.SIGKILL: 9>.", "It was killed by SIGKILL."),
        ("Command 'python train.py' returned non-zero exit status 134.", "It ended with exit status 134, without a sentence."),
        ("MissingOutputException in rule train", None),
    ],
)
def test_job_without_a_sentence_is_told_by_its_end(error, end):
    assert end_of(error) == end


def test_end_of_a_run_counts_what_failed_and_says_what_to_type():
    said = outcome(3, 14, 361, "snakemake partial_report --cores 4 --configfile my.yaml")
    assert said == (
        "3 of 361 jobs failed, 14 were not tried. This shows what is there, what is missing and why: "
        "snakemake partial_report --cores 4 --configfile my.yaml"
    )
    assert outcome(1, 0, 5, "x").startswith("1 of 5 jobs failed. ")


def test_failed_report_on_what_is_there_is_not_what_to_type_next():
    assert outcome(1, 0, 1, "x", {"partial_report"}) == "1 of 1 jobs failed."
    assert outcome(2, 0, 2, "x", {"verify", "doubtful"}) == "2 of 2 jobs failed."
    assert outcome(2, 0, 2, "x", {"verify", "score"}).endswith(": x")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            'InputFunctionException in rule pushed in file "/x/Snakefile", line 135:\nError:\n  Refusal:\n    hub: this section is missing.'
            '\nWildcards:\n\nTraceback:\n  File "/x/targets.smk", line 57, in pushed_models',
            "hub: this section is missing.",
        ),
        ("Error:\n  Refusal:\n    no 'a\x1b[2J\u202eb'.\nWildcards:\n", "no 'a\\x1b[2J\\u202eb'."),
        ('Refusal in rule make_mix in file "/x/make_mix.smk", line 3:\nmixes.m: two\nlines.', "mixes.m: two\nlines."),
        ("Refusal:\nplan reads what is here.", "plan reads what is here."),
        ('WorkflowError in rule a in file "/x", line 1:\nof Snakemake', None),
        ("MissingInputException in rule Refusal:\nx", None),
    ],
)
def test_refusal_is_its_sentence_without_rule_and_lines_of_code(error, sentence):
    assert refused(error) == sentence
