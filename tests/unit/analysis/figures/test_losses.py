import pytest

from loragrid.analysis.figures.losses import loss_rows


def test_a_long_course_is_shown_as_means_over_neighbouring_steps(made):
    rows, losses = loss_rows(made.by_name["losses"]), made.by_name["losses"]
    own = rows[(rows["task"] == "long") & (rows["nb_samples"] == 64) & (rows["seed"] == 1)]
    course = losses[(losses["task"] == "long") & losses["run"].str.contains("n64__") & losses["run"].str.endswith("seed1")]
    training = own[own["curve"] == "training"]
    assert (len(course), len(training), training["step"].max()) == (640, 100, 640)
    first = course[course["step"] <= training["step"].iloc[0]]
    assert training["loss"].iloc[0] == pytest.approx(first["train_loss"].mean())


def test_a_short_course_and_every_validation_are_shown_as_they_are(made):
    rows, losses = loss_rows(made.by_name["losses"]), made.by_name["losses"]
    short = rows[(rows["nb_samples"] == 4) & (rows["seed"] == 1) & (rows["task"] == "long")]
    assert short[short["curve"] == "training"]["loss"].tolist() == pytest.approx([2 / step for step in range(1, 41)])
    assert (rows["curve"] == "validation").sum() == losses["validation_loss"].notna().sum()


def test_courses_of_several_runs_are_not_mixed(made):
    losses = made.by_name["losses"]
    together, values = loss_rows(losses), ["curve", "step", "loss"]
    for _, course in losses.groupby(["base_model", "task", "run"]):
        alone = loss_rows(course)
        own = together.merge(alone[["base_model", "task", "nb_samples", "seed"]].drop_duplicates())
        assert own.sort_values(values)[values].to_numpy().tolist() == alone.sort_values(values)[values].to_numpy().tolist()


def test_rows_have_the_axes_of_their_run(made):
    rows = loss_rows(made.by_name["losses"])
    assert set(rows["label"]) == {f"n={size}, seed {seed}" for size in (4, 16, 64) for seed in (1, 2)}
    assert (rows["trained_task"] == rows["task"]).all()
    assert set(rows["config"]) == {"lora"}


def test_without_trainings_there_are_no_rows(made):
    assert loss_rows(made.by_name["losses"].iloc[:0]).empty
