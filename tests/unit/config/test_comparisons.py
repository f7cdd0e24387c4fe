"""What a configuration may say of comparisons, and what is said of mistakes."""

import pytest

from loragrid.analysis.contrasts.settings import Comparison
from loragrid.config.comparisons import broken_comparisons
from loragrid.config.load import parse_config
from loragrid.errors import UserError


def config(**report):
    return {
        "models": {"m": {"source": {"path": "m"}}},
        "sources": {"words": {"splits": {split: {"path": f"{split}.jsonl"} for split in ("train", "test")}}},
        "tasks": {
            "t": {
                "source": "words",
                "instruction": "Say it.",
                "input": "{{ word }}",
                "sample_types": {"s": {"output": "x"}},
                "scorers": ["em"],
                "metadata": {"topic": "{{ topic }}"},
            }
        },
        "scorers": {"em": {"type": "exact_match"}},
        "mixes": {"alone": {"recipe": "target_only"}},
        "configs": {"lora": {}},
        "grid": [
            {
                "base_models": ["m"],
                "tasks": ["t"],
                "sample_types": ["s"],
                "mixes": ["alone"],
                "nb_samples": [4],
                "configs": ["lora"],
            }
        ],
        "report": report,
    }


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        ({"axis": "config", "against": "loar"}, "report.comparisons[0].against: unknown config 'loar'; did you mean 'lora'?"),
        (
            {"axis": "mix", "values": ["alone", "alome"]},
            "report.comparisons[0].values: unknown mix 'alome'; did you mean 'alone'?",
        ),
        (
            {"axis": "config", "where": {"nb_samples": 5}},
            "report.comparisons[0].where.nb_samples: unknown number of examples of the grid '5'; known: 4",
        ),
        (
            {"axis": "training", "metrics": "em/exact"},
            "report.comparisons[0].metrics: unknown metric 'em/exact'; did you mean 'em/exact_match'?",
        ),
        ({"axis": "training", "against": "lora"}, "takes no values, against or across"),
        ({"axis": "config", "values": ["lora"]}, "values: give at least two"),
        ({"axis": "config", "across": "config"}, "across: expected another axis that has values"),
        ({"axis": "config", "slope": True}, "slope: needs 'axis: nb_samples'"),
        ({"axis": "config", "where": {"config": "lora"}}, "where: both ways differ in config"),
        ({"axis": "nb_samples", "slope": True, "over_tasks": True}, "over_tasks: does not go with slope or across"),
        ({"axis": "learning_rate"}, "report.comparisons[0].axis"),
    ],
)
def test_what_a_comparison_cannot_mean_is_said_with_its_key(comparison, said):
    with pytest.raises(UserError) as error:
        parse_config(config(comparisons=[comparison]))
    assert said in str(error.value)


def test_smallest_difference_is_a_positive_number_of_a_known_metric():
    for given, said in (
        ({"em/exact_match": 0}, "above 0"),
        ({"em/f1": 0.1}, "report.smallest_difference: unknown metric 'em/f1'"),
    ):
        with pytest.raises(UserError) as error:
            parse_config(config(smallest_difference=given))
        assert said in str(error.value)


def test_clusters_are_by_a_key_of_the_metadata():
    raw = config()
    raw["tasks"]["t"]["cluster_by"] = "topics"
    with pytest.raises(UserError, match=r"tasks.t.cluster_by: unknown key of the metadata 'topics'; did you mean 'topic'\?"):
        parse_config(raw)


def test_one_value_may_stand_without_a_list_and_numbers_are_names():
    comparison = Comparison.model_validate(
        {"axis": "nb_samples", "values": [8, 16], "where": {"config": "lora"}, "metrics": "a/b"}
    )
    assert (comparison.values, comparison.where, comparison.metrics) == (["8", "16"], {"config": ["lora"]}, ["a/b"])
    sound = config(comparisons=[{"axis": "config", "where": {"nb_samples": 4, "task": "t", "decoding": "greedy"}}])
    assert list(broken_comparisons(parse_config(sound))) == []
