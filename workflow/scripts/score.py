"""Score one prediction file with one scorer."""

from functools import partial
from typing import TYPE_CHECKING

from loragrid.ahead.answers import waiting_items
from loragrid.ahead.told import Told
from loragrid.layout import Evaluation
from loragrid.records import write_records
from loragrid.runtime.job import logged
from loragrid.scoring.job import Machine, ScoredFiles, score_file
from loragrid.scoring.registry import scorer_of
from loragrid.scoring.settings import ScoreSettings

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    name, files = snakemake.wildcards.scorer, snakemake.input
    rows = score_file(
        name,
        scorer_of(snakemake.config, name),
        ScoreSettings.model_validate(dict(snakemake.params.items())),
        ScoredFiles(
            Evaluation.from_wildcards(dict(snakemake.wildcards.items())).place,
            files.predictions,
            test=files.get("test"),
            model=files.get("model"),
            base=files.get("base"),
            likelihoods=files.get("likelihoods"),
        ),
        partial(waiting_items, Told.of(snakemake)),
        Machine(snakemake.resources, snakemake.threads),
    )
    write_records(snakemake.output[0], rows)
