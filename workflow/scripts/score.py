"""Score one prediction file with one scorer."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from loragrid.config import Scorer
from loragrid.job import logged
from loragrid.records import Prediction, read_records, write_records
from loragrid.scorers import make_scorer, score

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    settings: Scorer = TypeAdapter(Scorer).validate_python(snakemake.params.scorer)
    encoder = snakemake.input.get("encoder")
    if encoder:
        # Only encoders need torch, which takes seconds to import.
        from loragrid.devices import lease_gpus

        lease_gpus(snakemake.resources)
    scorer = make_scorer(settings, Path(encoder).parent if encoder else None)
    predictions = read_records(snakemake.input.predictions, Prediction)
    write_records(snakemake.output[0], score(snakemake.wildcards.scorer, scorer, predictions))
