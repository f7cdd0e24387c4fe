"""Answer the test examples of one data set by a trivial baseline."""

from typing import TYPE_CHECKING

from loragrid.data.splitting import subset
from loragrid.inference.baselines import answer, baseline_prediction
from loragrid.layout import BASELINE
from loragrid.records import Example, read_records, write_records
from loragrid.runtime.job import logged
from loragrid.scoring.labels import label_of_task
from loragrid.scoring.settings import parse_scorer

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    given, name = snakemake.input, snakemake.wildcards.run
    tests = subset(read_records(given.test, Example), snakemake.params.subset)
    train = read_records(given.train, Example) if given.get("train") else []
    label_of = label_of_task([parse_scorer(scorer) for scorer in snakemake.params.label_scorers])
    answers = answer(name, tests, train, snakemake.params.rule, label_of)
    axes = {axis: snakemake.wildcards[axis] for axis in ("task", "sample_type", "run")} | {"base_model": BASELINE}
    write_records(
        snakemake.output.predictions,
        [baseline_prediction(axes, example, texts) for example, texts in zip(tests, answers, strict=True)],
    )
