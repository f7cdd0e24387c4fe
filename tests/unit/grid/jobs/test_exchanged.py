import pytest

from loragrid import layout
from loragrid.analysis.card_marks import experiment_mark
from loragrid.grid.jobs import inputs, settings
from loragrid.grid.jobs.exchanged import EXCHANGED, is_exchanged, is_kept
from loragrid.grid.jobs.wanted import tier_files
from loragrid.sections import decisive

LEAKS = layout.DECONTAMINATE.path("leaks", {"task": "t", "sample_type": "gold"})
TEST = layout.PREPARE_DATASET.path("test", {"task": "t", "sample_type": "gold"})
SCORES = "results/scores/t/gold/m/base/rouge.jsonl"
MIX = {"task": "t", "sample_type": "gold", "mix": "alone", "nb_samples": "4", "mix_seed": "1"}


def test_shared_mixes_read_the_leaks_into_the_test_sets_of_each_experiment(grid, make_grid):
    letters = make_grid(experiment="letters")
    assert inputs.make_mix(grid, MIX)["leaks"] == [LEAKS]
    assert inputs.make_mix(letters, MIX)["leaks"] == ["results/experiments/letters/datasets/t/gold/leaks.json"]
    for leaks in (LEAKS, *inputs.make_mix(letters, MIX)["leaks"]):
        assert is_exchanged("make_mix", leaks)
    assert not is_exchanged("make_mix", TEST)


def test_experiments_share_all_files_of_the_grid_but_leaks(grid, make_grid):
    ours, theirs = tier_files(grid), tier_files(make_grid(experiment="letters"))
    assert {tier for tier in ours if ours[tier] != theirs[tier]} == {"leaks"}
    assert {layout.experiment_of(path) for pair in theirs["leaks"] for path in pair} == {"letters"}


def test_only_inputs_of_the_kind_that_experiments_differ_in_are_exchanged():
    assert is_exchanged("check", TEST)
    assert not is_exchanged("check", "results/models/m/model.safetensors")
    assert is_exchanged("predict", "results/predictions/t/silver/m/base.jsonl")
    assert not is_exchanged("predict", TEST)
    assert set(EXCHANGED) <= set(layout.RULES)


@pytest.mark.parametrize(
    ("written_by", "asked_by", "exchanged"),
    [
        (None, None, False),
        (None, "letters", True),
        ("letters", "letters", False),
        ("letters", None, True),
        ("numbers", "letters", True),
    ],
)
def test_card_is_written_again_for_other_scores_only_by_the_experiment_that_wrote_it(tmp_path, written_by, asked_by, exchanged):
    card = tmp_path / "README.md"
    card.write_text(f"# A model\n\n## Scores\n\n{experiment_mark(written_by) if written_by else ''}\n")
    assert is_exchanged("describe_model", SCORES)
    assert not is_exchanged("describe_model", TEST)
    assert is_kept("describe_model", asked_by, str(card)) == exchanged
    assert not is_kept("describe_model", asked_by, "no card")
    assert is_kept("make_mix", asked_by, "a mix")


def test_report_without_a_name_is_told_what_it_was_told_before(grid, make_grid):
    assert list(decisive(settings.report(grid))) == ["title", "examples", "scorers"]
    assert decisive(settings.report(make_grid(experiment="letters")))["experiment"] == "letters"
