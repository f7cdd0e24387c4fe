"""Trackers, which show trainings while they run: TensorBoard, Weights & Biases, MLflow, Trackio, through accelerate."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loragrid.errors import UserError
from loragrid.layout import ALL_TRACKERS
from loragrid.runtime.locks import held
from loragrid.runtime.redaction import redacted

if TYPE_CHECKING:
    from accelerate import Accelerator

    from loragrid.training.loop import Progress

PROJECT = "loragrid"
"""What trackers call all that comes from here: a project, or an experiment."""

SHOWN = ("train_loss", "validation_loss", "learning_rate", "epoch", "tokens")
"""The columns of `loss.csv` that trackers show."""


def checked_trackers(names: list[str]) -> list[str] | None:
    """The trackers, if the packages that they need are installed; None for none.

    Raises:
        UserError: naming the package to install.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"trackers: '{name}' needs the package {name}: .venv/bin/python -m pip install {name}")
    return names or None


def keep_on_this_machine() -> None:
    """Have trackers that are told of no place by their environment variables keep their files among the results."""
    folder = Path(ALL_TRACKERS).absolute()
    os.environ.setdefault("TRACKIO_DIR", str(folder / "trackio"))
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")


def name_in_trackio(base_model: str, run: str) -> str:
    """The name of a run in Trackio, which knows runs by their names alone."""
    return f"{base_model}/{run}"


@contextmanager
def tracked(accelerator: Accelerator, folder: str, settings: Mapping[str, Any]) -> Iterator[Callable[[Progress], None]]:
    """Show a training in the trackers of an accelerator, if it has any.

    Args:
        folder: of the trackers' files; its last part names the training.
        settings: the training's settings, as nested mappings.

    Yields:
        A function that shows a row of `loss.csv`.
    """
    if not accelerator.log_with:
        yield lambda row: None
        return
    name, base_model = Path(folder).name, Path(folder).parent.name
    own_names = {
        "wandb": {"name": name, "dir": folder},
        "mlflow": {"run_name": name},
        "trackio": {"name": name_in_trackio(base_model, name), "resume": "allow"},
    }
    keep_on_this_machine()
    # The first one makes a data base that all use.
    with held(Path(ALL_TRACKERS, ".lock"), lambda: None):
        accelerator.init_trackers(PROJECT, _flat(settings), own_names)

    def show(row: Progress) -> None:
        values = {name: value for name in SHOWN if (value := getattr(row, name)) is not None}
        accelerator.log(values, step=row.step)

    yield show
    accelerator.end_training()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with keys such as `a/b`, and with values that every tracker takes, without secrets."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}/")
        else:
            flat[prefix + key] = value if isinstance(value, int | float | bool) else redacted(str(value))
    return flat
