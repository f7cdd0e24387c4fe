"""Answer the test examples of one data set by a trivial baseline."""

from typing import TYPE_CHECKING

from loragrid.data.splitting import subset
from loragrid.inference.baselines import BaselineSettings, answer, baseline_prediction
from loragrid.layout import BASELINE
from loragrid.records import Example, read_records, write_records
from loragrid.runtime.job import logged
from loragrid.scoring.registry import label_of_task, parse_scorer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    files, name = snakemake.input, snakemake.wildcards.run
    told = BaselineSettings.model_validate(dict(snakemake.params.items()))
    tests = subset(read_records(files.test, Example), told.subset)
    train = read_records(files.train, Example) if files.get("train") else []
    answers = answer(name, tests, train, told.rule, label_of_task(map(parse_scorer, told.label_scorers)))
    axes = {axis: snakemake.wildcards[axis] for axis in ("task", "sample_type", "run")} | {"base_model": BASELINE}
    write_records(
        snakemake.output.predictions,
        [baseline_prediction(axes, example, texts) for example, texts in zip(tests, answers, strict=True)],
    )
