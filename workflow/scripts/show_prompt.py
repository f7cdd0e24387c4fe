"""Show how a base model is asked about a data set."""

from typing import TYPE_CHECKING

from loragrid.inference.settings import PredictSettings
from loragrid.inference.shown_prompts import show_prompt
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    settings, files = PredictSettings.model_validate(dict(snakemake.params)), snakemake.input
    chosen = (files.get(name) for name in ("train", "demonstrations"))
    show_prompt(settings, files.get("tokenizer"), files.test, *chosen, snakemake.output.prompt)
