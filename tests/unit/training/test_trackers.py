import os
from types import SimpleNamespace

import pytest

from loragrid.training.loop import Progress
from loragrid.training.trackers import keep_on_this_machine, tracked

PLACES = ("TRACKIO_DIR", "MLFLOW_TRACKING_URI")
"""Where the user says that trackers keep what they are told."""

ROW = Progress(3, 0.5, 1.25, None, 0.01, 40, 2.0)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)


def recording(log_with, calls):
    """An accelerator that notes what it is asked to track."""
    return SimpleNamespace(
        log_with=log_with,
        init_trackers=lambda *args: calls.append(("init", *args)),
        log=lambda values, step: calls.append(("log", values, step)),
        end_training=lambda: calls.append(("end",)),
    )


def test_training_is_shown_from_its_settings_to_its_end():
    calls = []
    told = {"run": {"mix": "m", "seed": 1}, "config": {"rank": 4, "target_modules": ["q"], "max_steps": None}}
    with tracked(recording(["tensorboard"], calls), "results/trackers/tiny/r", told) as show:
        show(ROW)
    assert calls == [
        (
            "init",
            "loragrid",
            {"run/mix": "m", "run/seed": 1, "config/rank": 4, "config/target_modules": "['q']", "config/max_steps": "None"},
            {
                "wandb": {"name": "r", "dir": "results/trackers/tiny/r"},
                "mlflow": {"run_name": "r"},
                "trackio": {"name": "tiny/r", "resume": "allow"},
            },
        ),
        ("log", {"train_loss": 1.25, "learning_rate": 0.01, "epoch": 0.5, "tokens": 40}, 3),
        ("end",),
    ]


def test_training_that_fails_is_not_shown_as_ended():
    calls = []
    with pytest.raises(ZeroDivisionError), tracked(recording(["tensorboard"], calls), "f", {}):
        raise ZeroDivisionError
    assert [name for name, *_ in calls] == ["init"]


def test_nothing_is_shown_without_a_tracker():
    calls = []
    with tracked(recording([], calls), "f", {}) as show:
        show(ROW)
    assert calls == []


def test_trackers_keep_their_files_among_the_results_unless_they_are_told_a_place(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ours")
    with tracked(recording(["mlflow", "trackio"], []), "results/trackers/tiny/r", {}):
        assert os.environ["TRACKIO_DIR"] == str(tmp_path / "results/trackers/trackio")
        assert os.environ["MLFLOW_TRACKING_URI"] == "http://ours"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    keep_on_this_machine()
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/results/trackers/mlflow.db"
