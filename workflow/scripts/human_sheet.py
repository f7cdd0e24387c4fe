"""Write the blank sheet of one annotator."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.records import Example, Prediction, read_records
from loragrid.runtime.job import log, logged
from loragrid.scoring.human_sheets import HumanEvaluation, share_out, sheet_rows, write_sheet_csv, write_sheet_workbook
from loragrid.scoring.protocol import items_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    name, annotator = snakemake.wildcards.evaluation, snakemake.wildcards.annotator
    settings = HumanEvaluation.model_validate(snakemake.params.evaluation)
    tests = {Path(path).parts[-3:-1]: read_records(path, Example) for path in snakemake.input.tests}
    items, predicted = [], {data: set() for data in tests}
    for path in snakemake.input.predictions:
        data, predictions = Path(path).parts[-4:-2], read_records(path, Prediction)
        predicted[data].update(prediction.id for prediction in predictions)
        examples = {example.id: example for example in tests[data]}
        items += [item for of_prediction in items_of(predictions, examples=examples) for item in of_prediction]
    rated = [[example for example in tests[data] if example.id in ids] for data, ids in predicted.items()]
    rows = sheet_rows(name, settings, annotator, items, share_out(name, settings, rated)[annotator])
    write_sheet_csv(snakemake.output.csv, settings, rows)
    write_sheet_workbook(snakemake.output.xlsx, settings, rows)
    log.info("%d answers to rate", len(rows))
