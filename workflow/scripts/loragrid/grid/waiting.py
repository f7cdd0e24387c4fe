"""Answers that wait for a scorer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loragrid import layout
from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.grid.runs import expand_predictions
from loragrid.records import Example, Prediction, read_records
from loragrid.scoring.protocol import Item, items_of


def waiting_items(scorer: str, raw: Mapping[str, Any]) -> Iterator[Item]:
    """The answers in all prediction files of the grid that are to be scored by this scorer and are there already.

    Args:
        raw: the configuration, as YAML gave it.
    """
    config = parse_config(raw)
    reads_examples = config.scorers[scorer].reads_examples
    for evaluation in expand_predictions(config):
        path = layout.PREDICT.path("predictions", evaluation.wildcards)
        test = layout.PREPARE_DATASET.path("test", evaluation.dataset.wildcards)
        if scorer not in config.tasks[evaluation.task].scorers or not Path(path).exists():
            continue
        try:
            examples = {example.id: example for example in read_records(test, Example)} if reads_examples else None
            items = items_of(read_records(path, Prediction), evaluation.place, examples)
        except (UserError, OSError, KeyError):
            # Its own job will say what is wrong with it.
            continue
        yield from (item for of_prediction in items for item in of_prediction)
