"""The results of a training: weights, `loss.csv` and a manifest, in one folder that is written completely or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from loragrid.layout import IMPORT_MODEL
from loragrid.models.adapters import SavedStart, experts_left_out, name_base_model, save_adapter, save_model
from loragrid.models.device import device_name, type_name
from loragrid.runtime.files import file_sha256, fingerprint, folder_written_whole, write_json
from loragrid.runtime.finished import keep_files
from loragrid.runtime.job import circumstances, versions
from loragrid.runtime.model_folders import archive_others
from loragrid.training.loop import write_course
from loragrid.training.settings import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loragrid.data.render import Renderer
    from loragrid.training.batches import EncodedMix
    from loragrid.training.checkpoints import Weights
    from loragrid.training.loop import Learner, Progress
    from loragrid.training.settings import TrainingJob

FINISHED = "finished"
"""Folder of a training's state that holds the files of the result until Snakemake has recorded it."""


def write_result(
    job: TrainingJob,
    learner: Learner,
    start: SavedStart | None,
    weights: Weights | None,
    renderer: Renderer,
    mix: EncodedMix,
    course: Sequence[Progress],
    started: float,
    state: Path,
) -> None:
    """Write the result of a training.

    Args:
        start: the adapter before training, if its initialisation changed the base model's weights.
        weights: the weights, if the model does not hold all of them itself.
        started: `time.perf_counter()` at the start of the work.
        state: folder of the training's state, whose name is the training's identity.
    """
    with folder_written_whole(job.kept_in or job.folder) as folder:
        if learner.config.makes_whole_model:
            trained = folder / "model.safetensors"
            save_model(learner.model, renderer.tokenizer, folder, learner.dtype, weights)
        else:
            trained = folder / "adapter_model.safetensors"
            save_adapter(learner.model, folder, start, weights)
            name_base_model(folder / "adapter_config.json", job.model_folder, recorded_folder(job))
        write_course(folder / "loss.csv", course)
        manifest = describe(job, learner, renderer, mix, course)
        manifest["fingerprints"]["adapter"] = file_sha256(trained)
        manifest["identity"] = state.name
        others = sorted(path for path in folder.iterdir() if path != trained)
        manifest["files"] = {path.name: file_sha256(path) for path in others}
        device, dtype = device_name(learner.accelerator.device), type_name(learner.dtype)
        write_json(folder / "manifest.json", manifest | circumstances(started, device, dtype, torch.get_num_threads()))
        if job.other_files:
            named = ("model.safetensors", "config.json", "loss.csv", "manifest.json")
            archive_others(folder, [*named, job.other_files])
        if job.keeps_finished:
            keep_files(folder, state / FINISHED)


def is_whole(folder: Path, identity: str) -> bool:
    """Whether a folder holds the result of this very training, with the weights that its manifest names."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        [weights] = [path for name in ("adapter_model.safetensors", "model.safetensors") if (path := folder / name).is_file()]
        return bool(manifest["identity"] == identity and manifest["fingerprints"]["adapter"] == file_sha256(weights))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def recorded_folder(job: TrainingJob) -> str:
    """The folder by which results name the base model, wherever it was loaded from."""
    return str(Path(IMPORT_MODEL.path("model", {"base_model": job.settings.run.base_model})).parent)


def describe(
    job: TrainingJob, learner: Learner, renderer: Renderer, mix: EncodedMix, course: Sequence[Progress]
) -> dict[str, Any]:
    """The part of a training's manifest that says what was trained, on which data, and how long."""
    told = job.settings.model_dump()
    fingerprints = {
        "model": file_sha256(job.model),
        "tokenizer": file_sha256(job.tokenizer),
        "prompt_template": fingerprint(renderer.template or renderer.tokenizer.chat_template),
        "train": file_sha256(job.train),
        "validation": file_sha256(job.validation),
    }
    examples = {
        "train": len(mix.train),
        "validation": len(mix.validation),
        "input_cut": mix.cut,
        "dropped": mix.dropped,
    }
    left_out = experts_left_out(learner.model) if learner.config.adapts_all_linear else []
    return {
        "run": told["run"],
        "config": told["config"],
        "model": told["model"],
        "tokenizer": recorded_folder(job),
        "seeds": told["seeds"],
        "stage_version": told["version"],
        "fingerprints": fingerprints,
        "examples": examples,
        "steps": course[-1].step,
        "tokens": course[-1].tokens,
        "training_s": course[-1].seconds,
        **({"not_adapted": left_out} if left_out else {}),
        "trainable_parameters": sum(p.numel() for p in learner.model.parameters() if p.requires_grad),
        "processes": learner.accelerator.num_processes,
        "distribution": learner.accelerator.distributed_type.value,
        "versions": versions(*LIBRARIES),
    }
