"""The table of comparisons says in words what is compared, and what matters first."""

import pytest

from loragrid.analysis.contrasts.sentences import differing
from loragrid.analysis.page.contrast_rows import compared, contrasts_table
from unit.analysis import grids
from unit.analysis.grids import base, run

VALUES = [0.8, 0.9, 0.7, 0.85] * 4
OTHERS = [0.5, -0.5, 0.4, -0.45] * 4


def contrasts(*comparisons):
    """Two tasks, two configs, three sizes."""
    results = [(base(task=task), [0.0] * 16) for task in "tu"]
    results += [
        (run(task=task, config=config, n=n), values)
        for task in "tu"
        for config, values in (("c0", VALUES), ("c1", OTHERS))
        for n in (4, 8, 16)
    ]
    return grids.contrasts(*results, comparisons=list(comparisons))


@pytest.mark.parametrize(
    ("comparison", "kind", "words"),
    [
        ({"axis": "training"}, "difference", "n=8, c0: fine-tuned against the base model"),
        ({"axis": "config"}, "difference", "n=8: config c1 against config c0"),
        ({"axis": "nb_samples"}, "difference", "c0: 16 training examples against 8 training examples"),
        ({"axis": "nb_samples", "slope": True}, "slope", "c0: each doubling of the training examples (4, 8, 16)"),
        (
            {"axis": "config", "across": "nb_samples"},
            "interaction",
            "the gain in config (c1 - c0) with 16 training examples against 8 training examples",
        ),
        ({"axis": "config", "over_tasks": True}, "difference", "mean over t, u; n=8: config c1 against config c0"),
    ],
)
def test_a_comparison_is_told_in_words(comparison, kind, words):
    table = contrasts(comparison)
    assert words in compared(table[table["kind"] == kind])


def test_several_base_models_are_named_where_they_do_not_differ():
    results = [(base(name), [0.0] * 16) for name in ("small", "big")]
    results += [(run(name), VALUES) for name in ("small", "big")]
    told = compared(grids.contrasts(*results, comparisons=[{"axis": "training"}, {"axis": "base_model"}]))
    assert "small, n=8: fine-tuned against the base model" in told
    assert any("small" in one and "big" in one and one.startswith("n=8: ") for one in told)


def test_what_is_compared_comes_first_then_how_it_came_out_then_on_how_much():
    columns = contrasts_table(contrasts({"axis": "config"})).columns
    shown = [column.key for column in columns if not column.hidden]
    assert [key for key in shown if key != "metric_name"][:5] == ["task", "compared", "difference", "verdict", "n"]
    assert "axis" not in shown
    assert {column.key for column in columns} >= {"axis", "own", "other", "way", "other_way"}


def test_axes_have_names_for_readers():
    assert differing("trained_sample_type") == "sample type trained on"
    assert differing("config*nb_samples") == "config × number of training examples"
