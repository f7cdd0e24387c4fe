"""What test examples ask, and which are not independent."""

import pytest

from loragrid.analysis.contrasts.questions import read_questions
from loragrid.config.load import parse_config
from loragrid.grid.jobs import settings
from loragrid.grid.runs import Grid
from loragrid.records import write_records
from unit.config.test_comparisons import config


@pytest.fixture
def tests(tmp_path, make_example):
    examples = [
        make_example("1", instruction="What for?", input="A paper.", metadata={"paper": "p1"}),
        make_example("2", instruction="How?", input="A paper.", metadata={"paper": "p2"}),
        make_example("3", instruction="What is an adapter?", input="", metadata={"paper": "p1"}),
        make_example("4", instruction="How?", input="Another one.", metadata={"paper": " "}),
    ]
    write_records(tmp_path / "t/manual/test.jsonl", examples)
    write_records(tmp_path / "t/auto/test.jsonl", [make_example("5", instruction="How?", input="A  PAPER.", output="else")])
    return [tmp_path / "t/manual/test.jsonl", tmp_path / "t/auto/test.jsonl"]


def clusters(tests, keys):
    return [one.cluster for (_, sample_type, _), one in read_questions(tests, keys).items() if sample_type == "manual"]


def test_questions_about_the_same_text_are_a_cluster_unless_a_key_says_otherwise(tests):
    first, second, without_input, other = clusters(tests, {})
    assert first == second
    assert len({first, without_input, other}) == 3
    first, second, third, unknown = clusters(tests, {"t": {"manual": "paper"}})
    assert first == third != second
    # Nothing is said of the last one: it belongs to what has the same text.
    assert unknown == other


def test_sample_types_ask_the_same_if_only_references_differ(tests):
    questions = read_questions(tests, {})
    assert questions["t", "manual", "2"].text == questions["t", "auto", "5"].text != questions["t", "manual", "1"].text


@pytest.mark.parametrize(
    ("task", "group", "expected"),
    [
        ({}, None, {}),
        ({}, "{{topic}}", {}),
        ({"metadata": {"about": "{{ topic }}", "no": "{{ other }}"}}, "{{ topic }}", {"t": {"s": "about"}}),
        ({"metadata": {"about": "{{ topic }}", "no": "{{ other }}"}, "cluster_by": "no"}, "{{ topic }}", {"t": {"s": "no"}}),
    ],
)
def test_key_of_the_clusters_is_named_or_the_one_that_splits_keep_together(task, group, expected):
    raw = config()
    raw["tasks"]["t"] |= task
    raw["sources"]["words"]["split"] = {"group": group}
    assert settings.analyse(Grid(parse_config(raw))).cluster_by == expected


def test_analysis_knows_the_limits_of_metrics():
    assert settings.analyse(Grid(parse_config(config()))).bounds == {"em/exact_match": (0.0, 1.0)}
