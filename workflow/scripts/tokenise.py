"""Tokenise a data set for a base model."""

from typing import TYPE_CHECKING

from loragrid.data.render import load_renderer
from loragrid.data.splitting import SPLITS
from loragrid.data.tokens import TokeniseSettings, tokenise, write_tokens
from loragrid.records import Example, read_records
from loragrid.runtime.job import log, logged
from loragrid.runtime.model_folders import whole_folder
from loragrid.runtime.pretrained import load_tokenizers_only

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    load_tokenizers_only()
    settings = TokeniseSettings.model_validate(dict(snakemake.params))
    renderer = load_renderer(whole_folder(snakemake.input.tokenizer), settings.model)
    table = tokenise(renderer, {split: read_records(snakemake.input[split], Example) for split in SPLITS})
    write_tokens(snakemake.output[0], table)
    log.info("%d examples", len(table))
