import csv
from pathlib import Path

import pytest

from loragrid.planning.plan import Machine, Plan, Row, write_plan
from loragrid.planning.plan_text import amount, describe, duration

ROW = Row("train", "m", 12000, 2000, 10000, 123456789.0, 12345678.0, 0, 1234.5, 1234.5, 60.0, 0, 2784, 6000, 1, "recorded", 20)
GUESSED = ROW._replace(
    rule="select_demonstrations", base_model="", tokens=0, new_tokens=0, hours_recorded=0, basis="first guess", records=0
)
JUDGED = ROW._replace(rule="score", requests=500.0, tokens=1e6, cost=12.5)


def text_of(*rows, basis=None, parameters=None):
    parameters = {"m": (135e6, "name")} if parameters is None else parameters
    return describe(Plan(list(rows), 3600.0), basis or {}, parameters, Machine(16, 2))


def test_text_has_counts_tokens_time_memory_and_grounds_in_100_columns():
    text = text_of(ROW, GUESSED, JUDGED, basis={"guess": {"a/b"}, "tokens": {"c/d", "e/f"}})
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith("36,000 jobs in the grid: 6,000 are done and up to date, 30,000 are to do.")
    [train] = [line.split() for line in text.splitlines() if line.startswith("train ")]
    assert train[1:] == ["12,000", "2,000", "10,000", "123M", "12.3M", "51", "d", "2.8", "6.0", "20", "jobs"]
    [total] = [line.split() for line in text.splitlines() if line.startswith("total ")]
    assert total[-2:] == ["67%", "recorded"]
    [model] = [line.split() for line in text.splitlines() if line.startswith("m ")]
    assert model[1:4] == ["24,000", "4,000", "20,000"]
    assert "with 16 at a time and 2 GPUs about 1.0 h on the clock" in text
    assert "Judges: at most 500 requests with 1.00M tokens, 12.50 by their price." in text
    assert "tokens of 2 data sets: counted" in text
    assert "tokens of 1 data set: a first guess" in text


def test_text_is_honest_about_a_first_guess():
    guess = ROW._replace(hours_recorded=0, basis="first guess", records=0)
    text = text_of(guess, parameters={"m": (1e9, "guess")})
    assert max(map(len, text.splitlines())) <= 100
    assert "can be wrong by a factor of ten" in text
    assert "parameters of m: unknown, taken as 1.00G" in text
    assert "factor of ten" not in text_of(ROW)
    assert "parameters of" not in text_of(ROW)


def test_finished_grid_has_no_estimate():
    done = ROW._replace(done=12000, to_do=0, tokens=0, new_tokens=0, hours=0, hours_recorded=0, longest_s=0, basis="", records=0)
    text = text_of(done)
    assert "12,000 are done and up to date, 0 are to do." in text
    assert "Together" not in text
    assert "rests on:" not in text


def test_table_has_a_row_for_each_rule_and_base_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_plan(Plan([ROW, GUESSED], 1.0), "text")
    with open("results/plan.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rule"], row["base_model"], row["to_do"]) for row in rows] == [
        ("train", "m", "10000"),
        ("select_demonstrations", "", "10000"),
    ]
    assert Path("results/plan.txt").read_text() == "text\n"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.9, "1.0 min"),
        (90, "1.5 min"),
        (1200, "20 min"),
        (5400, "1.5 h"),
        (36000 * 5, "50 h"),
        (86400 * 4, "4.0 d"),
    ],
)
def test_durations_have_a_fitting_unit(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (999, "999"),
        (1000, "1.00k"),
        (65949, "65.9k"),
        (999_999, "1.00M"),
        (12_345_678, "12.3M"),
        (2.5e9, "2.50G"),
        (1e13, "10.0T"),
    ],
)
def test_amounts_have_three_digits(number, expected):
    assert amount(number) == expected
