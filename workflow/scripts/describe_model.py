"""Write the model card of one trained model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.files import written_whole
from loragrid.job import logged
from loragrid.model_cards import model_card
from loragrid.tables import read_scores

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    manifest = json.loads(Path(snakemake.input.manifest).read_text(encoding="utf-8"))
    scores = read_scores(snakemake.input.scores)
    with written_whole(snakemake.output[0]) as temporary:
        temporary.write_text(model_card(manifest, snakemake.params.source, scores, snakemake.params.kinds), encoding="utf-8")
