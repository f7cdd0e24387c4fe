"""Make one whole model out of a base model and its adapter."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from loragrid.models.adapters import merge
from loragrid.runtime.files import folder_written_whole
from loragrid.runtime.job import logged
from loragrid.runtime.model_folders import archive_others, whole_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    with folder_written_whole(Path(snakemake.output.model).parent) as folder:
        trained = whole_folder(snakemake.input.adapter) / Path(snakemake.input.adapter).name
        merge(whole_folder(snakemake.input.model), trained, folder)
        shutil.copy2(snakemake.input.card, folder / "README.md")
        if snakemake.output.get("other_files"):
            archive_others(folder, snakemake.output)
