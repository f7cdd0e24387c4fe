"""The job that sends final scores and verdicts to trackers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from loragrid.analysis.tracking.rows import tracked_models
from loragrid.analysis.tracking.settings import TrackSettings
from loragrid.analysis.tracking.trackers import send
from loragrid.runtime.files import write_json
from loragrid.runtime.job import log
from loragrid.training.trackers import checked_trackers, keep_on_this_machine


def track(settings: TrackSettings, scores: str | Path, contrasts: str | Path, receipt: str | Path) -> None:
    """Send the scores of all models to all trackers, then write what was sent.

    Args:
        scores, contrasts: the tables of these names, as Parquet.

    Raises:
        UserError: naming the package of a tracker that is not installed.
    """
    checked_trackers(settings.trackers)
    keep_on_this_machine()
    models = tracked_models(pd.read_parquet(scores), pd.read_parquet(contrasts), settings.main, settings.experiment)
    for tracker in settings.trackers:
        for model in models:
            send(tracker, model)
        log.info("%s: %d models", tracker, len(models))
    sent = {f"{model.base_model}/{model.run}": {"values": model.values, "texts": model.texts} for model in models}
    write_json(receipt, {"trackers": settings.trackers, "models": sent})
