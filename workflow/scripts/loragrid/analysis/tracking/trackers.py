"""Each tracker, as far as it differs: where a model's values go.

A tracker that can add to the run of a training does so. Sent again, values take the place of earlier ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.analysis.tracking.rows import TrackedModel
from loragrid.layout import TRACKERS
from loragrid.records import content_hash
from loragrid.training.trackers import PROJECT, name_in_trackio

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

_SUFFIX = ".scores"
"""Ends the names of TensorBoard's files with scores. Those of trainings have no such end."""

_TAG = 5000
"""So many characters of a text fit into a tag of MLflow."""


def send(tracker: str, model: TrackedModel) -> None:
    """Send what is told of a model to a tracker, by its name in the configuration."""
    _SENDERS[tracker](model)


def _to_tensorboard(model: TrackedModel) -> None:
    """To files beside those of the training, which TensorBoard shows as one run."""
    from accelerate.tracking import TensorBoardTracker

    folder = _folder(model)
    for earlier in Path(folder, PROJECT).glob(f"*{_SUFFIX}"):
        earlier.unlink()
    _log(TensorBoardTracker(PROJECT, folder, filename_suffix=_SUFFIX), model, step=0)


def _to_wandb(model: TrackedModel) -> None:
    """To a run of its own, of the same name each time: W&B does not say which run was that of the training."""
    from accelerate.tracking import WandBTracker

    folder = _folder(model)
    Path(folder).mkdir(parents=True, exist_ok=True)
    own = content_hash(PROJECT, model.base_model, model.run)
    config = {"base_model": model.base_model, **model.axes}
    _log(WandBTracker(PROJECT, id=own, name=f"{model.run} scores", dir=folder, resume="allow", config=config), model)


def _to_trackio(model: TrackedModel) -> None:
    """To the run of the training, or to one that is named in the same way."""
    from accelerate.tracking import TrackioTracker

    machine = {"auto_log_cpu": False, "auto_log_gpu": False}
    _log(TrackioTracker(PROJECT, name=name_in_trackio(model.base_model, model.run), resume="allow", **machine), model)


def _to_mlflow(model: TrackedModel) -> None:
    """To the run of the training, or else to one of its own; texts become tags."""
    import mlflow
    from accelerate.tracking import MLflowTracker

    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    own = f"{model.run} scores"
    of_training = f"attributes.run_name = '{model.run}' and params.`run/base_model` = '{model.base_model}'"
    of_scores = f"attributes.run_name = '{own}' and tags.base_model = '{model.base_model}'"
    found = [
        run.info.run_id
        for condition in (of_training, of_scores)
        for run in mlflow.search_runs(
            experiment_names=[experiment],
            filter_string=condition,
            max_results=1,
            order_by=["start_time DESC"],
            output_format="list",
        )
    ]
    to = {"run_id": found[0]} if found else {"run_name": own, "tags": {"base_model": model.base_model}}
    tracker = MLflowTracker(PROJECT, **to)
    texts = {_allowed_by_mlflow(name): text[:_TAG] for name, text in model.texts.items()}
    values = {_allowed_by_mlflow(name): value for name, value in model.values.items()}
    _log(tracker, model._replace(values=values, texts={}), 0, lambda: mlflow.set_tags(texts))


def _allowed_by_mlflow(name: str) -> str:
    """A name in the letters that MLflow takes, and no longer than it takes."""
    return re.sub(r"[^\w/. -]", "-", name)[:250]


def _log(tracker: GeneralTracker, model: TrackedModel, step: int | None = None, also: Callable[[], None] = lambda: None) -> None:
    """Open a tracker, log all values and texts at once, and close it.

    Args:
        also: what is done besides, while it is open.
    """
    from accelerate import PartialState

    # Trackers ask it whether this is the main process.
    PartialState(cpu=True)
    tracker.start()
    tracker.log({**model.values, **model.texts}, step=step)
    also()
    tracker.finish()


def _folder(model: TrackedModel) -> str:
    return TRACKERS.format(base_model=model.base_model, run=model.run)


_SENDERS: Mapping[str, Callable[[TrackedModel], None]] = {
    "tensorboard": _to_tensorboard,
    "wandb": _to_wandb,
    "mlflow": _to_mlflow,
    "trackio": _to_trackio,
}
