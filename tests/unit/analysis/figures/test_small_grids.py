"""Grids in which much is missing: figures without data have their files all the same."""

import pytest

from loragrid.analysis.all_tables import GridFiles, make_tables
from loragrid.analysis.figures.all_figures import figures_of_results
from loragrid.layout import FIGURES

ALWAYS = {"scorer_correlations_by_policy", "score_distributions", "judge_length"}


@pytest.fixture(scope="module")
def base_alone(made_files):
    """A base model that is asked, and nothing else."""

    def of_base(paths):
        return [path for path in paths if "/tiny/base" in path.as_posix()]

    return made_files._replace(
        predictions=of_base(made_files.predictions), scores=of_base(made_files.scores), losses=[], manifests=[]
    )


def shown(files, settings):
    figures = figures_of_results(make_tables(files, settings), settings)
    assert tuple(figures) == FIGURES["analyse"]
    return {name for name, figure in figures.items() if len(figure.rows)}


def test_nothing_at_all_shows_nothing(settings):
    assert shown(GridFiles([], [], [], [], []), settings) == set()


def test_a_base_model_alone_has_no_figures_about_training(base_alone, settings):
    expected = {"scorer_correlations", "scorer_correlations_resampled", "cost_quality", "run_times", "tokens", *ALWAYS}
    assert shown(base_alone, settings) == expected


def test_predictions_made_elsewhere_have_no_times_and_tokens(elsewhere, settings):
    assert shown(elsewhere, settings) == {"scorer_correlations", "scorer_correlations_resampled", *ALWAYS}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, write_evaluation, made_files):
    """Answers of one model, under no base model of the grid."""
    found = write_evaluation(tmp_path_factory.mktemp("elsewhere"), "long", "external", "theirs", {}, 0.1)
    return GridFiles(found[:1], found[1:], [], [], made_files.tests[:1])


def test_trainings_without_answers_have_their_losses(made_files, settings):
    assert shown(made_files._replace(predictions=[], scores=[]), settings) == {"loss_curves", "run_times"}
