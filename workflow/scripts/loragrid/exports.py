"""Predictions in the form that other tools read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from loragrid.files import written_whole
from loragrid.records import Example, Export, Prediction


def export(predictions: Iterable[Prediction], test: Iterable[Example]) -> Iterator[Export]:
    """Each prediction beside its test example; an example with several prompts comes once for each of them."""
    examples = {example.id: example for example in test}
    for prediction in predictions:
        answers = [prediction.prediction] if isinstance(prediction.prediction, str) else prediction.prediction
        for part, answer in zip(examples[prediction.id].parts, answers, strict=True):
            yield Export(instruction=part.instruction, input=part.input, output=part.output, prediction=answer)


def write_csv(path: str | Path, rows: Iterable[Export]) -> None:
    """Write the rows as CSV, lists as JSON text, whole or not at all."""
    with written_whole(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(Export.model_fields), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            fields = row.model_dump()
            writer.writerow({k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in fields.items()})
