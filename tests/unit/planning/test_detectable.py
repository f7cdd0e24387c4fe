"""How large a difference the plan says will be seen."""

import csv
from pathlib import Path

import pytest

from loragrid.analysis.contrasts.columns import CONTRASTS
from loragrid.config.load import parse_config
from loragrid.grid.runs import Grid
from loragrid.planning.detectable import describe_detectable
from unit.config.test_comparisons import config


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def lines(subset=100, seeds=(1,), **report):
        raw = config(**report)
        raw["tasks"]["t"]["subset"] = subset
        raw["grid"][0]["seeds"] = list(seeds)
        return describe_detectable(Grid(parse_config(raw)))

    return lines


def size(lines):
    return float(lines[2].split()[1])


def test_more_questions_and_fewer_contrasts_see_smaller_differences(planned):
    lines = planned()
    assert lines[1] == "Smallest difference in em/exact_match that will probably be seen (80%), in 1 contrast:"
    assert lines[2].endswith("(100 questions at most, one training seed: about these trainings)")
    assert "assumed" in lines[3]
    # Of a standard deviation of 0.3: (1.98 + 0.85) x 0.3 / 10; for right and wrong answers half a question more, and an
    # error of the test that is larger by 4 %.
    assert size(lines) == pytest.approx(0.085 + 0.005 + 0.04 * 1.98 * 0.03, abs=0.001)
    assert size(planned(subset=400)) == pytest.approx(0.085 / 2 + 0.005 / 4, rel=0.02)
    assert "3 training seeds" in planned(seeds=(1, 2, 3))[2]
    assert size(planned(seeds=(1, 2, 3, 4, 5))) < size(planned(seeds=(1, 2, 3)))
    assert (
        planned(subset=3, seeds=(1, 2))[2]
        == "  t/s: none, not even the metric's whole range (3 questions at most, 2 training seeds)"
    )


def test_difference_that_the_metric_cannot_have_is_not_named(planned):
    assert planned(subset=2)[2] == (
        "  t/s: none, not even the metric's whole range (2 questions at most, one training seed: about these trainings)"
    )
    assert size(planned(subset=12)) < 1


def record(**spreads):
    """The table of an earlier analysis."""
    row = dict.fromkeys(CONTRASTS, "") | {"axis": "training", "scorer": "em", "metric": "exact_match"} | spreads
    Path("results/tables").mkdir(parents=True, exist_ok=True)
    with open("results/tables/contrasts.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, CONTRASTS)
        writer.writeheader()
        writer.writerow(row)


def test_what_an_analysis_has_found_is_counted_with(planned):
    record(of_questions="0.01")
    lines = planned()
    assert size(lines) == pytest.approx(0.085 / 3 + 0.005, abs=0.001)
    assert lines[3] == "  what this rests on: spreads of the last analysis (tables/contrasts.csv)"


def test_how_trainings_differ_is_assumed_where_no_analysis_has_seen_it(planned):
    record(of_questions="0.01")
    unseen = planned(seeds=(1, 2, 3))
    assert unseen[3] == (
        "  what this rests on: spreads of questions from the last analysis (tables/contrasts.csv); "
        "trainings assumed to differ by 0.02 of the metric's range (standard deviation)"
    )
    record(of_questions="0.01", of_seeds="0.0", of_both="0.0")
    seen = planned(seeds=(1, 2, 3))
    assert seen[3] == "  what this rests on: spreads of the last analysis (tables/contrasts.csv)"
    assert size(seen) < size(unseen)


def test_each_task_is_planned_in_its_own_main_metric(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = config()
    raw["scorers"]["f1"] = {"type": "token_f1"}
    raw["tasks"]["t"]["subset"] = 100
    raw["tasks"] |= {"u": raw["tasks"]["t"] | {"scorers": ["em", "f1"], "metric": "f1/f1"}}
    raw["grid"][0]["tasks"] = ["t", "u"]
    lines = describe_detectable(Grid(parse_config(raw)))
    told = [line.split(" that will")[0].split(": ")[0] for line in lines if line.startswith(("Smallest", "  t/s", "  u/s"))]
    assert told == ["Smallest difference in em/exact_match", "  t/s", "Smallest difference in f1/f1", "  u/s"]
    # The verdicts of both metrics hold together.
    assert all(line.endswith("in 2 contrasts that hold together:") for line in lines if "Smallest" in line)


def test_means_over_tasks_are_planned_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def lines(comparison, seeds=(1,)):
        raw = config(comparisons=[comparison])
        raw["tasks"] |= {"u": dict(raw["tasks"]["t"])}
        raw["tasks"]["t"]["subset"], raw["tasks"]["u"]["subset"] = 100, 300
        raw["grid"][0] |= {"tasks": ["t", "u"], "seeds": list(seeds)}
        return describe_detectable(Grid(parse_config(raw)))

    over = lines({"axis": "training", "over_tasks": True})
    assert over[1].endswith("in 1 contrast:")
    assert over[2].startswith("  mean over 2 tasks: ")
    assert over[2].endswith("(400 questions at most, one training seed: about these trainings)")
    # Of a standard deviation of 0.3, half of sqrt(1 / 100 + 1 / 300).
    found = float(over[2].split()[4])
    assert found == pytest.approx((1.97 + 0.84) * 0.3 * (1 / 100 + 1 / 300) ** 0.5 / 2, abs=0.001)
    single = lines({"axis": "training"})
    assert single[1].endswith("in 2 contrasts that hold together:")
    assert [line.split(":")[0] for line in single[2:4]] == ["  t/s", "  u/s"]
    # Each task has trainings of its own.
    seeds = [
        float(lines({"axis": "training", "over_tasks": True}, range(1, 4))[2].split()[4]),
        size(lines({"axis": "training"}, range(1, 4))),
    ]
    assert seeds[0] < seeds[1]


def test_nothing_is_said_where_nothing_is_compared_or_known(planned):
    assert planned(subset=None) == []
    assert planned(comparisons=[{"axis": "config"}]) == []


def test_groups_that_no_key_of_the_metadata_keeps_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = config()
    raw["tasks"]["t"]["subset"] = 9
    raw["sources"]["words"]["split"] = {"group": "{{ paper }}"}
    [line] = [line for line in describe_detectable(Grid(parse_config(raw))) if "split.group" in line]
    assert line.startswith("  t/s: split.group keeps rows together")
    raw["tasks"]["t"]["metadata"]["paper"] = "{{  paper }}"
    assert "split.group" not in "".join(describe_detectable(Grid(parse_config(raw))))
