"""Write the predictions of one model on one data set for other tools."""

from typing import TYPE_CHECKING

from loragrid.analysis.exports import export, write_csv
from loragrid.data.wholeness import refuse_other_answers
from loragrid.records import Example, Prediction, read_records, write_records
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    predictions = read_records(snakemake.input.predictions, Prediction)
    examples = read_records(snakemake.input.test, Example)
    answered = [one.answered for one in predictions]
    refuse_other_answers(snakemake.input.predictions, answered, snakemake.input.test, examples)
    rows = list(export(predictions, examples))
    write_records(snakemake.output.jsonl, rows)
    write_csv(snakemake.output.csv, rows)
