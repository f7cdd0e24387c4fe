"""Answers that wait for a scorer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.records import Example, Prediction, read_records
from loragrid.scoring.protocol import Item, items_of


def waiting_items(scorer: str, raw: Mapping[str, Any], read_examples: bool) -> Iterator[Item]:
    """The answers in all prediction files of the grid that are to be scored by this scorer and are there already.

    Args:
        raw: the configuration, as YAML gave it.
        read_examples: whether the scorer reads the test examples too.
    """
    from loragrid.grid.runs import expand_predictions

    config = parse_config(raw)
    for one in expand_predictions(config):
        place = f"{one.task}/{one.sample_type}/{one.base_model}/{one.run}{one.variant}"
        path, test = Path(f"results/predictions/{place}.jsonl"), Path(f"results/datasets/{one.task}/{one.sample_type}/test.jsonl")
        if scorer not in config.tasks[one.task].scorers or not path.exists():
            continue
        try:
            examples = {example.id: example for example in read_records(test, Example)} if read_examples else None
            items = items_of(read_records(path, Prediction), place, examples)
        except (UserError, OSError, KeyError):
            # Its own job will say what is wrong with it.
            continue
        yield from (item for of_prediction in items for item in of_prediction)
