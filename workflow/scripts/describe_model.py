"""Write the model card of one trained model."""

from typing import TYPE_CHECKING

from loragrid.analysis.model_cards import model_card
from loragrid.analysis.reading import read_scores
from loragrid.analysis.settings import CardSettings
from loragrid.models.usage import kept_asking_of
from loragrid.runtime.files import written_whole
from loragrid.runtime.job import logged
from loragrid.runtime.manifests import read_json
from loragrid.runtime.model_folders import whole_folder
from loragrid.runtime.pretrained import load_tokenizers_only

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    load_tokenizers_only()
    settings = CardSettings.model_validate(dict(snakemake.params))
    manifest = read_json(snakemake.input.manifest)
    base = whole_folder(snakemake.input.tokenizer)
    # A whole model is used with the tokenizer in its own folder.
    folder = whole_folder(snakemake.input.manifest) if manifest["config"]["method"] == "full" else base
    asked, template = kept_asking_of(base, manifest, folder)
    card = model_card(manifest, settings, read_scores(snakemake.input.scores), asked, template)
    with written_whole(snakemake.output[0]) as temporary:
        temporary.write_text(card, encoding="utf-8")
