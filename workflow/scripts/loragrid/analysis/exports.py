"""Predictions in a form that other tools read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from loragrid.records import Example, Export, Prediction
from loragrid.runtime import spreadsheets


def export(predictions: Iterable[Prediction], test: Iterable[Example]) -> Iterator[Export]:
    """Each prediction beside its test example; an example with several prompts comes once for each of them."""
    examples = {example.id: example for example in test}
    for prediction in predictions:
        answers = [prediction.prediction] if isinstance(prediction.prediction, str) else prediction.prediction
        for part, answer in zip(examples[prediction.id].parts, answers, strict=True):
            yield Export(instruction=part.instruction, input=part.input, output=part.output, prediction=answer)


def write_csv(path: str | Path, rows: Iterable[Export]) -> None:
    """Write the rows as CSV, lists as JSON text, whole or not at all.

    No text remains that a spreadsheet would read as a formula.
    """
    cells = (row.model_dump().values() for row in rows)
    texts = ([cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in row] for row in cells)
    spreadsheets.write_csv(path, list(Export.model_fields), texts)
