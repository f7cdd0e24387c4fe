"""What trackers show in the end. TensorBoard is in the extras; the others are asked where they are installed."""

import json

import pandas as pd
import pytest

from loragrid.analysis.tracking.job import track
from loragrid.analysis.tracking.rows import TrackedModel
from loragrid.analysis.tracking.settings import TrackSettings
from loragrid.analysis.tracking.trackers import send
from loragrid.errors import UserError
from loragrid.training.trackers import PROJECT, keep_on_this_machine, tracked

RUN = "t__gold__alone__n4__lora__completion__seed1"
FOLDER = f"results/trackers/m/{RUN}"
MEAN, VERDICT = "scores/t/gold/rouge/rougeL", "verdicts/t/gold/nb_samples*mix interaction, 4 against 2/rouge/rougeL"
MODEL = TrackedModel(
    "m", RUN, {"config": "lora", "seed": 1}, {MEAN: 0.5, f"{VERDICT}/difference": 0.25}, {VERDICT: "better: It is."}
)
BASE = TrackedModel("m", "base", {}, {MEAN: 0.25}, {})


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TRACKIO_DIR", "MLFLOW_TRACKING_URI", "WANDB_MODE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    keep_on_this_machine()


def trained(tracker):
    """A training that a tracker has followed."""
    accelerate, loop = pytest.importorskip("accelerate"), pytest.importorskip("loragrid.training.loop")
    told = {"run": {"base_model": "m"}}
    with tracked(accelerate.Accelerator(cpu=True, log_with=[tracker], project_dir=FOLDER), FOLDER, told) as show:
        show(loop.Progress(3, 0.5, 1.25, None, 0.01, 40, 2.0))


def test_tensorboard_shows_scores_and_verdicts_beside_the_losses_of_the_training():
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trained("tensorboard")
    for mean in (0.5, 0.75):
        send("tensorboard", MODEL._replace(values=MODEL.values | {MEAN: mean}))
    shown = accumulator.EventAccumulator(f"{FOLDER}/{PROJECT}")
    shown.Reload()
    assert [event.value for event in shown.Scalars("train_loss")] == [1.25]
    # What was sent before is gone.
    assert [event.value for event in shown.Scalars(MEAN)] == [0.75]
    [text] = shown.Tensors(f"{VERDICT}/text_summary")
    assert text.tensor_proto.string_val == [b"better: It is."]


def test_mlflow_shows_scores_in_the_run_of_the_training():
    mlflow = pytest.importorskip("mlflow")
    trained("mlflow")
    for mean in (0.5, 0.75):
        send("mlflow", MODEL._replace(values=MODEL.values | {MEAN: mean}))
        send("mlflow", BASE)
    runs = {run.info.run_name: run for run in mlflow.search_runs(experiment_names=[PROJECT], output_format="list")}
    assert set(runs) == {RUN, "base scores"}
    assert runs[RUN].data.metrics[MEAN] == 0.75
    assert runs[RUN].data.metrics["train_loss"] == 1.25
    assert runs[RUN].data.metrics[f"{VERDICT}/difference".translate({ord(letter): "-" for letter in "*,"})] == 0.25
    assert "better: It is." in runs[RUN].data.tags.values()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_trackio_shows_scores_in_the_run_of_the_training(tmp_path):
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    trained("trackio")
    for mean in (0.5, 0.75):
        send("trackio", MODEL._replace(values=MODEL.values | {MEAN: mean}))
    assert [run if isinstance(run, str) else run["name"] for run in SQLiteStorage.get_runs(PROJECT)] == [f"m/{RUN}"]
    logged = SQLiteStorage.get_logs(PROJECT, f"m/{RUN}")
    assert [row[MEAN] for row in logged if MEAN in row] == [0.5, 0.75]
    assert [row["train_loss"] for row in logged if "train_loss" in row] == [1.25]
    assert any(row.get(VERDICT) == "better: It is." for row in logged)
    assert list((tmp_path / "results/trackers/trackio").iterdir())


def test_wandb_keeps_scores_in_a_run_of_its_own(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    send("wandb", MODEL)
    [folder] = tmp_path.glob(f"{FOLDER}/wandb/offline-run-*")
    [written] = folder.glob("*.wandb")
    assert b"better: It is." in written.read_bytes()


def test_tracker_that_is_not_installed_is_named(tmp_path):
    settings = TrackSettings(version=1, trackers=["no_such_tracker"], experiment=None, metric="rouge/rougeL", task_metrics={})
    with pytest.raises(UserError, match="trackers: 'no_such_tracker' needs the package"):
        track(settings, "scores", "contrasts", tmp_path / "receipt")
    assert not (tmp_path / "receipt").exists()


def test_receipt_lists_what_was_sent(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr("loragrid.analysis.tracking.job.send", lambda tracker, model: sent.append((tracker, model.run)))
    monkeypatch.setattr("loragrid.analysis.tracking.job.tracked_models", lambda *tables: [MODEL, BASE])
    for name in ("scores", "contrasts"):
        pd.DataFrame({"a": [1]}).to_parquet(tmp_path / name)
    settings = TrackSettings(
        version=1, trackers=["tensorboard", "mlflow"], experiment=None, metric="rouge/rougeL", task_metrics={}
    )
    monkeypatch.setattr("loragrid.analysis.tracking.job.checked_trackers", lambda names: names)
    track(settings, tmp_path / "scores", tmp_path / "contrasts", tmp_path / "receipt")
    assert sent == [(tracker, run) for tracker in ("tensorboard", "mlflow") for run in (RUN, "base")]
    told = json.loads((tmp_path / "receipt").read_text())
    assert told["trackers"] == ["tensorboard", "mlflow"]
    assert told["models"][f"m/{RUN}"] == {"values": MODEL.values, "texts": MODEL.texts}
