"""One training from its input files to its output folder, in this process or in each of those that accelerate starts.

`python -m loragrid.training.job FILE` runs the job that a JSON file describes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from loragrid.data.render import load_renderer, pad_token
from loragrid.data.tokens import read_tokens
from loragrid.errors import UserError
from loragrid.models.adapters import SavedStart, name_base_model, save_adapter, save_model
from loragrid.models.device import device_name, keep_freed_memory, pick_device, pick_dtype, type_name
from loragrid.models.loading import load_base_model
from loragrid.records import Example, read_records
from loragrid.runtime.files import file_sha256, fingerprint, folder_written_whole, write_json
from loragrid.runtime.gpu_leases import lease_files
from loragrid.runtime.interruptions import ignore_signals, postponed_signals
from loragrid.runtime.job import circumstances, log, show_log, versions
from loragrid.runtime.model_folders import archive_others
from loragrid.runtime.states import describe_state
from loragrid.training.batches import encode
from loragrid.training.checkpoints import is_sharded
from loragrid.training.loop import Checkpoints, Progress, choose_layout, train, write_course
from loragrid.training.methods import changes_base_weights, make_trainable
from loragrid.training.settings import AdapterTraining, FullTraining, Seeds, parse_training

STOP = "stop"
"""File in the folder of a training's state: holds the signal on which its processes are to stop."""


class TrainingJob(NamedTuple):
    """Everything a training needs to know."""

    folder: str
    """Where the result goes."""
    state: str
    """Folder of the states of unfinished trainings."""
    model: str
    """Weights of the base model; its folder holds the rest of it."""
    tokenizer: str
    train: str
    validation: str
    tokens: list[str]
    other_files: str | None
    """Where the archive of those files goes that no rule names, if it is needed."""
    adapter: list[str]
    """Files of the adapter that is continued, if any."""
    run: dict[str, Any]
    config: dict[str, Any]
    model_settings: dict[str, Any]
    seeds: dict[str, int]
    stage_version: int
    threads: int
    checkpoint_minutes: float
    trackers: list[str]


def run_training(job: TrainingJob, accelerate_config: str | None) -> None:
    """Train, in this process or, with a configuration file of accelerate, in those that it asks for."""
    state = Path(job.state) / fingerprint(_identity(job, accelerate_config))[:32]
    state.mkdir(parents=True, exist_ok=True)
    describe_state(state, {"result": f"{job.folder}/manifest.json"})
    if accelerate_config is None:
        train_adapter(job, state)
    else:
        _launch(job, state, accelerate_config)
    shutil.rmtree(state)
    state.with_suffix(".json").unlink(missing_ok=True)


def _identity(job: TrainingJob, accelerate_config: str | None) -> dict[str, Any]:
    """All that decides what a training arrives at: a state is taken up by the same training only."""
    files = [job.model, job.tokenizer, job.train, job.validation, *job.adapter]
    decisive = {key: getattr(job, key) for key in ("run", "config", "model_settings", "seeds", "stage_version")}
    return decisive | {
        "files": [file_sha256(file) for file in files],
        "versions": versions("torch", "transformers", "peft", "accelerate"),
        "accelerate": Path(accelerate_config).read_text(encoding="utf-8") if accelerate_config else None,
    }


def _launch(job: TrainingJob, state: Path, accelerate_config: str) -> None:
    described, problem, stop = state / "job.json", state / "error.txt", state / STOP
    for left in (problem, stop):
        left.unlink(missing_ok=True)
    write_json(described, job._asdict())
    command = [sys.executable, "-m", "loragrid.runtime.leash", "accelerate.commands.launch", "--config_file", accelerate_config]
    # From their start: they import for seconds before they run anything of ours.
    command += ["-m", "loragrid.runtime.leash", "loragrid.training.job", str(described)]
    library = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    # A signal reaches some of the processes or all of them, once or more often, and the launcher would kill the others. So they leave
    # signals to this process, which tells them by a file.
    environment = os.environ | {"PYTHONPATH": library, "PET_SIGNALS_TO_HANDLE": "SIGHUP"}
    with postponed_signals() as signalled:
        launcher = subprocess.Popen(
            command, env=environment, stdout=sys.stdout, stderr=sys.stderr, pass_fds=lease_files(), preexec_fn=ignore_signals
        )
        while launcher.poll() is None:
            if signalled() and not stop.exists():
                stop.write_text(signalled(), encoding="utf-8")
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(timeout=0.5)
    if problem.exists():
        raise UserError(problem.read_text(encoding="utf-8"))
    if launcher.returncode:
        raise UserError(f"accelerate launch with {accelerate_config} ended with status {launcher.returncode}.")


def train_adapter(job: TrainingJob, state: Path) -> None:
    """Train in this process, alone or as one of several, and write the result.

    Args:
        state: folder of this training's own state.
    """
    from accelerate import Accelerator

    started = time.perf_counter()
    torch.set_num_threads(job.threads)
    keep_freed_memory()
    config, seeds = parse_training(job.config), Seeds(**job.seeds)
    model_folder, recorded_folder = Path(job.model).parent, f"results/models/{job.run['base_model']}"
    settings = job.model_settings
    if settings["dtype"] == "float16":
        raise UserError(f"models.{job.run['base_model']}.dtype: float16 is for prediction only; train in bfloat16 or float32.")
    # Told that there is only a CPU, accelerate would not start DeepSpeed.
    plain_cpu = pick_device().type == "cpu" and os.environ.get("ACCELERATE_USE_DEEPSPEED") != "true"
    name = Path(job.folder).name
    trackers_folder = f"results/trackers/{job.run['base_model']}/{name}"
    accelerator = Accelerator(cpu=plain_cpu, log_with=checked_trackers(job.trackers), project_dir=trackers_folder)

    renderer = load_renderer(model_folder, settings)
    mix = {part: read_records(path, Example) for part, path in (("train", job.train), ("validation", job.validation))}
    tokenised = read_tokens(job.tokens, {example.id for examples in mix.values() for example in examples})
    (train_set, train_cut, train_dropped), (validation_set, _, validation_dropped) = (
        encode(renderer, examples, tokenised, job.run["loss_computation"], config.max_length) for examples in mix.values()
    )
    for text, ids in (("input cut", train_cut), ("dropped, too long", train_dropped + validation_dropped)):
        if ids and accelerator.is_main_process:
            log.info("%d examples: %s: %s", len(ids), text, ", ".join(ids))

    device = torch.device("cpu") if is_sharded(accelerator) else accelerator.device
    dtype = pick_dtype(settings["dtype"], accelerator.device)
    quantization = config.quantization if isinstance(config, AdapterTraining) else "none"
    base = load_base_model(model_folder, type_name(dtype), quantization, device)
    model = make_trainable(base, config, seeds.adapter_init)
    start = SavedStart(model) if changes_base_weights(config) else None
    layout = choose_layout(model, config, accelerator.device, pad_token(renderer))
    if job.trackers:
        own_names = {"wandb": {"name": name, "dir": trackers_folder}, "mlflow": {"run_name": name}}
        accelerator.init_trackers("loragrid", _flat({"run": job.run, "config": job.config, "seeds": job.seeds}), own_names)

    def follow(row: Progress) -> None:
        if job.trackers:
            shown = ("train_loss", "validation_loss", "learning_rate", "epoch", "tokens")
            values = {name: getattr(row, name) for name in shown if getattr(row, name) is not None}
            accelerator.log(values, step=row.step)

    with postponed_signals() as signalled:
        checkpoints = Checkpoints(state, job.checkpoint_minutes, lambda: signalled() or told_to_stop(state))
        course = train(model, train_set, validation_set, config, seeds, layout, accelerator, dtype, checkpoints, follow)
    if job.trackers:
        accelerator.end_training()

    weights = None
    if is_sharded(accelerator):
        gathered = accelerator.get_state_dict(accelerator._models[0])
        weights = {name.removeprefix("model."): tensor for name, tensor in gathered.items()}
    if accelerator.is_main_process:
        with folder_written_whole(job.folder) as folder:
            if isinstance(config, FullTraining):
                save_model(model, renderer.tokenizer, folder, dtype, weights)
            else:
                save_adapter(model, folder, start, weights)
                name_base_model(folder / "adapter_config.json", model_folder, recorded_folder)
            write_course(folder / "loss.csv", course)
            [trained] = [path for path in (folder / "adapter_model.safetensors", folder / "model.safetensors") if path.exists()]
            examples = {
                "train": len(train_set),
                "validation": len(validation_set),
                "input_cut": train_cut,
                "dropped": train_dropped + validation_dropped,
            }
            fingerprints = {
                "model": file_sha256(job.model),
                "tokenizer": file_sha256(job.tokenizer),
                "prompt_template": fingerprint(renderer.template or renderer.tokenizer.chat_template),
                "train": file_sha256(job.train),
                "validation": file_sha256(job.validation),
                "adapter": file_sha256(trained),
            }
            manifest = {
                "run": job.run,
                "config": job.config,
                "model": settings,
                "tokenizer": recorded_folder,
                "seeds": job.seeds,
                "stage_version": job.stage_version,
                "fingerprints": fingerprints,
                "examples": examples,
                "steps": course[-1].step,
                "tokens": course[-1].tokens,
                "training_s": course[-1].seconds,
                "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
                "processes": accelerator.num_processes,
                "distribution": accelerator.distributed_type.value,
                "versions": versions("torch", "transformers", "peft", "accelerate"),
                **circumstances(started, device_name(accelerator.device), type_name(dtype), torch.get_num_threads()),
            }
            write_json(folder / "manifest.json", manifest)
            if job.other_files:
                named = ("model.safetensors", "config.json", "loss.csv", "manifest.json")
                archive_others(folder, [*named, job.other_files])
    accelerator.wait_for_everyone()


def told_to_stop(state: Path) -> str:
    """The signal on which the process that started this one wants it to stop; an empty text if there is none."""
    try:
        return (state / STOP).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def checked_trackers(names: list[str]) -> list[str] | None:
    """The trackers, if the packages that they need are installed; None for none.

    Raises:
        UserError: naming the package to install.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"trackers: '{name}' needs the package {name}: .venv/bin/python -m pip install {name}")
    return names or None


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one of `a/b`, with values that every tracker takes."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}/")
        else:
            flat[prefix + key] = value if isinstance(value, int | float | str | bool) else str(value)
    return flat


def main(described: Path) -> None:
    """Run the job of a JSON file as one of several processes; a mistake of the user's is left in a file beside it."""
    if os.environ.get("RANK", "0") == "0":
        show_log(sys.stderr)
    try:
        train_adapter(TrainingJob(**json.loads(described.read_text(encoding="utf-8"))), described.parent)
    except UserError as error:
        (described.parent / "error.txt").write_text(str(error), encoding="utf-8")
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
