"""Write the model card of one trained model."""

from typing import TYPE_CHECKING

from loragrid.analysis.model_cards import model_card
from loragrid.analysis.reading import read_scores
from loragrid.analysis.settings import CardSettings
from loragrid.runtime.files import written_whole
from loragrid.runtime.job import logged
from loragrid.runtime.manifests import read_json

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    settings = CardSettings.model_validate(dict(snakemake.params))
    manifest = read_json(snakemake.input.manifest)
    with written_whole(snakemake.output[0]) as temporary:
        temporary.write_text(model_card(manifest, settings, read_scores(snakemake.input.scores)), encoding="utf-8")
