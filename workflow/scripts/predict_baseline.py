"""Answer the test examples of one data set by a trivial baseline."""

from typing import TYPE_CHECKING

from loragrid.inference.baselines import BaselineSettings, predict_trivially
from loragrid.layout import BASELINE
from loragrid.records import Example, read_records, write_records
from loragrid.runtime.job import logged
from loragrid.scoring.registry import label_of_task, parse_scorer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    files = snakemake.input
    told = BaselineSettings.model_validate(dict(snakemake.params.items()))
    tests = read_records(files.test, Example)
    train = read_records(files.train, Example) if files.get("train") else []
    axes = {axis: snakemake.wildcards[axis] for axis in ("task", "sample_type", "run")} | {"base_model": BASELINE}
    label_of = label_of_task(map(parse_scorer, told.label_scorers))
    write_records(snakemake.output.predictions, predict_trivially(told, axes, tests, train, label_of))
