"""Score one prediction file with one scorer."""

from typing import TYPE_CHECKING

from loragrid.grid.waiting import waiting_items
from loragrid.records import Example, Prediction, read_records, write_records
from loragrid.runtime.job import log, logged
from loragrid.runtime.model_folders import whole_folder
from loragrid.scoring.job import score_items
from loragrid.scoring.protocol import items_of, score_rows
from loragrid.scoring.settings import scorer_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    name, given = snakemake.wildcards.scorer, snakemake.input
    settings = scorer_of(snakemake.config, name)
    examples = {example.id: example for example in read_records(given.test, Example)} if given.get("test") else None
    of = snakemake.wildcards
    place = f"{of.task}/{of.sample_type}/{of.base_model}/{of.run}{of.variant}"
    items = items_of(read_records(given.predictions, Prediction), place, examples)
    outcomes = score_items(
        name,
        settings,
        [item for of_prediction in items for item in of_prediction],
        lambda: waiting_items(name, snakemake.config, bool(examples)),
        model_folder=whole_folder(given.model) if given.get("model") else None,
        base=read_records(given.base, Prediction) if given.get("base") else None,
        human_evaluation=snakemake.params.scorer.get("human_evaluation"),
        version=snakemake.params.version,
        resources=snakemake.resources,
        threads=snakemake.threads,
    )
    write_records(snakemake.output[0], score_rows(name, snakemake.params.metrics, items, outcomes))
    log.info("%d answers scored", len(outcomes))
