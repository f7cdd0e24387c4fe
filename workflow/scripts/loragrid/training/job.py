"""One training from its input files to its output folder: in this process, or in each process that accelerate starts.

`python -m loragrid.training.job FILE` runs the job that a JSON file describes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from loragrid.data.render import Renderer, load_renderer, pad_token
from loragrid.data.tokens import read_tokens
from loragrid.errors import UserError
from loragrid.layout import TRACKERS
from loragrid.models.adapters import SavedStart
from loragrid.models.device import ALSO_COMPUTING, keep_freed_memory, pick_device, pick_dtype, type_name
from loragrid.models.fused_kernels import use_fused_kernels, usual_functions_afterwards
from loragrid.models.loading import LoadBase, load_base_model, padding_id, refuse_ids_without_embedding
from loragrid.models.plain_attention import sees_ahead
from loragrid.patches.torch_builds import end_builds_with_their_process
from loragrid.records import Example, read_records
from loragrid.runtime.files import file_sha256, fingerprint, write_json
from loragrid.runtime.finished import finish_state, is_superseded, remove_state, take_files
from loragrid.runtime.gpu_leases import lease_files
from loragrid.runtime.interruptions import ignore_signals, postponed_signals
from loragrid.runtime.job import installed_versions, log, show_log, versions
from loragrid.runtime.locks import only_job_for
from loragrid.runtime.manifests import verified_sha256
from loragrid.runtime.model_folders import content_of_model
from loragrid.runtime.states import describe_state, set_aside
from loragrid.sections import decisive
from loragrid.training.batches import EncodedMix, encode_mix
from loragrid.training.checkpoints import is_sharded
from loragrid.training.gradients import Layout, choose_layout
from loragrid.training.loop import Checkpoints, Learner, gather_weights, make_learner, train
from loragrid.training.memory import lack_of_memory_told
from loragrid.training.results import FINISHED, is_whole, write_result
from loragrid.training.settings import LIBRARIES, MEANS, TrainingJob
from loragrid.training.trackers import checked_trackers, tracked

if TYPE_CHECKING:
    from accelerate import Accelerator

WISHES = ("ACCELERATE_", "FSDP_")
"""Beginnings of the names of variables by which the launcher tells accelerate how to train."""

PLACES = frozenset({
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS",
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE",
})  # fmt: skip
"""Variables by which launchers tell a process which of several it is. accelerate would wait for the others."""


STOP = "stop"
"""File in the folder of a training's state. It holds the signal on which the training's processes should stop."""


def run_training(job: TrainingJob, accelerate_config: str | None) -> None:
    """Train: in this process or, with a configuration file of accelerate, in the processes that the file asks for.

    If another job trains the same, this one waits until it ends, and takes its result, or goes on from its state.
    """
    with only_job_for(job.folder, Path(job.state).with_name("locks")) as has_waited:
        train_claimed(job, accelerate_config, has_waited)


def train_claimed(
    job: TrainingJob, accelerate_config: str | None, has_waited: Callable[[], bool], load: LoadBase = load_base_model
) -> None:
    """As `run_training`, for a job that nobody else works on meanwhile.

    Args:
        has_waited: whether another job was waited for, which may have trained the same.
        load: gives the base model.
    """
    state = state_of(job, accelerate_config)
    if not is_made(job, state, has_waited):
        make_state(job, state)
        if accelerate_config is None:
            with no_wishes_for_accelerate(alone=True):
                train_here(job, state, load)
        else:
            _launch(job, state, accelerate_config)
    close_state(job, state)


def state_of(job: TrainingJob, accelerate_config: str | None) -> Path:
    """The folder of a training's own state."""
    return Path(job.state) / fingerprint(_identity(job, accelerate_config))[:32]


def is_made(job: TrainingJob, state: Path, has_waited: Callable[[], bool]) -> bool:
    """Whether another job has finished this very training. Its result is in place then."""
    if has_waited() and is_whole(Path(job.folder), state.name):
        log.info("the other job has finished this training; its result is taken")
        return True
    return _takes_finished(job, state)


def close_state(job: TrainingJob, state: Path) -> None:
    """Leave of a finished training's state what Snakemake may still need."""
    if job.keeps_finished and (state / FINISHED).is_dir():
        for left in (path for path in state.iterdir() if path.name != FINISHED):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        # Work ahead is kept here too: whoever did it may be killed before it has said that the result waits.
        finish_state(state, f"{job.folder}/manifest.json", ahead=job.kept_in is not None)
    else:
        remove_state(state)


def _takes_finished(job: TrainingJob, state: Path) -> bool:
    """Put the result of this very training into place, if an earlier job has finished it and Snakemake does not know."""
    if not (kept := state / FINISHED).is_dir():
        return False
    if is_whole(kept, state.name) and not is_superseded(state):
        take_files(kept, Path(job.kept_in or job.folder))
        log.info("an earlier job has finished this training (%s); its result is taken", kept)
        return True
    shutil.rmtree(kept)
    return False


def make_state(job: TrainingJob, state: Path) -> None:
    """Make a training's state ready to be written to; a checkpoint in it stays."""
    if state.exists() and not state.is_dir():
        set_aside(state, "a file instead of a folder")
    state.mkdir(parents=True, exist_ok=True)
    # A job that was killed while it saved its state has left a part of it.
    for left in state.glob(".*.partial"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    describe_state(state, {"result": f"{job.folder}/manifest.json"}, again=True)


def _identity(job: TrainingJob, accelerate_config: str | None) -> dict[str, Any]:
    """All that decides on the result of a training. Only the same training takes up a state.

    The number of threads and the product name of a GPU are left out, although they change the rounding: a training may go on
    elsewhere.
    """
    device = pick_device()
    # The weights are hashed with all other files of their folder.
    elsewhere = {"settings", "model", *(name for name, field in TrainingJob.model_fields.items() if MEANS in field.metadata)}
    told = {name: paths for name, paths in job if name not in elsewhere}
    return {
        "settings": decisive(job.settings),
        "files": {name: [verified_sha256(path) for path in _each(paths)] for name, paths in told.items()},
        "model": content_of_model(job.model_folder),
        "versions": versions(*LIBRARIES) | installed_versions(*ALSO_COMPUTING),
        "computing": {
            "device": device.type,
            "dtype": type_name(pick_dtype(job.settings.model.dtype, device)),
            # Once chosen where it was installed. States of earlier versions, which had none, are still taken up.
            "flash_attention": False,
            "gpus": torch.cuda.device_count() if accelerate_config else None,
        },
        "accelerate": _launch_settings(accelerate_config) if accelerate_config else None,
    }


def _each(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else paths


def _launch_settings(accelerate_config: str) -> list[str]:
    """The text of a configuration file of accelerate, and the hashes of the files that it names."""
    text = Path(accelerate_config).read_text(encoding="utf-8")
    # Some keys name files, as `deepspeed_config_file` does.
    named = sorted({word for word in re.split(r"""[\s"'{}\[\],]+""", text) if word and Path(word).is_file()})
    return [text, *map(file_sha256, named)]


@contextlib.contextmanager
def no_wishes_for_accelerate(alone: bool = False) -> Iterator[None]:
    """Hide variables of the environment that change how accelerate trains, such as `ACCELERATE_GRADIENT_ACCUMULATION_STEPS`.

    Only the configuration and the launcher's configuration file decide on a result.

    Args:
        alone: whether this process trains by itself. It then is none of several that another launcher has started.
    """
    hidden = [name for name in os.environ if name.startswith(WISHES) or (alone and name in PLACES)]
    wishes = {name: os.environ.pop(name) for name in hidden}
    if wishes:
        log.info("these variables of the environment are ignored: %s", ", ".join(sorted(wishes)))
    try:
        yield
    finally:
        os.environ |= wishes


def _launch(job: TrainingJob, state: Path, accelerate_config: str) -> None:
    described, problem, stop = state / "job.json", state / "error.txt", state / STOP
    for left in (problem, stop):
        left.unlink(missing_ok=True)
    # `model_dump_json` would write 1 as 1.0 in fields for floats.
    write_json(described, job.model_dump())
    command = [sys.executable, "-m", "loragrid.runtime.leash", "accelerate.commands.launch", "--config_file", accelerate_config]
    # From their start on: they import for seconds before they run our code.
    command += ["-m", "loragrid.runtime.leash", "loragrid.training.job", str(described)]
    library = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    # A signal may reach some of the processes or all of them, once or several times, and the launcher would kill the others. So
    # the processes leave signals to this process, which tells them by a file.
    with postponed_signals() as signalled, no_wishes_for_accelerate():
        environment = os.environ | {"PYTHONPATH": library, "PET_SIGNALS_TO_HANDLE": "SIGHUP"}
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


@usual_functions_afterwards()
def train_here(job: TrainingJob, state: Path, load: LoadBase = load_base_model) -> None:
    """Train in this process, alone or as one of several, and write the result.

    Args:
        state: folder of this training's own state.
        load: gives the base model.
    """
    started = time.perf_counter()
    torch.set_num_threads(job.threads)
    keep_freed_memory()
    settings = job.settings
    if settings.model.dtype == "float16":
        raise UserError(f"models.{settings.run.base_model}.dtype: float16 is for prediction only; train in bfloat16 or float32.")
    trackers_folder = trackers_folder_of(job)
    accelerator = make_accelerator(job, trackers_folder)
    renderer = load_renderer(job.model_folder, settings.model)
    mix = read_mix(job, renderer, accelerator.is_main_process)
    learner, start = _load_learner(job, accelerator, pad_token(renderer), load)
    refuse_ids_without_embedding(learner.model, renderer.tokenizer, (example.ids for example in (*mix.train, *mix.validation)))
    told = settings.model_dump(include={"run", "config", "seeds"})
    lack_told = lack_of_memory_told(settings.config, learner.layout.max_tokens, accelerator.device)
    with tracked(accelerator, trackers_folder, told) as follow, postponed_signals() as signalled, lack_told:
        checkpoints = Checkpoints(state, job.checkpoint_minutes, lambda: signalled() or told_to_stop(state))
        course = train(learner, mix.train, mix.validation, settings.seeds, checkpoints, follow)
    weights = gather_weights(learner)
    if accelerator.is_main_process:
        write_result(job, learner, start, weights, renderer, mix, course, started, state)
    accelerator.wait_for_everyone()


def trackers_folder_of(job: TrainingJob) -> str:
    """Where the files of a training's trackers are."""
    return TRACKERS.format(base_model=job.settings.run.base_model, run=job.settings.run.name)


def make_accelerator(job: TrainingJob, trackers_folder: str) -> Accelerator:
    """What spreads a training over devices."""
    from accelerate import Accelerator

    end_builds_with_their_process()
    # If accelerate were told that there is only a CPU, it would not start DeepSpeed.
    plain_cpu = pick_device().type == "cpu" and os.environ.get("ACCELERATE_USE_DEEPSPEED") != "true"
    accelerator = Accelerator(cpu=plain_cpu, log_with=checked_trackers(job.trackers), project_dir=trackers_folder)
    # Batches are cut up here. accelerate would divide each gradient once more.
    accelerator.gradient_accumulation_steps = 1
    return accelerator


def read_mix(job: TrainingJob, renderer: Renderer, tells: bool = True) -> EncodedMix:
    """The examples of a training. The log tells which were cut or dropped, if it is to."""
    train_set, validation_set = read_records(job.train, Example), read_records(job.validation, Example)
    tokenised = read_tokens(job.tokens, {example.id for example in (*train_set, *validation_set)})
    settings = job.settings
    limits = settings.run.loss_computation, settings.config.max_length, settings.config.loss_turns
    mix = encode_mix(renderer, train_set, validation_set, tokenised, *limits)
    for said, ids in (("input cut", mix.cut), ("dropped, too long", mix.dropped)):
        if ids and tells:
            log.info("%d examples: %s: %s", len(ids), said, ", ".join(ids))
    return mix


def _load_learner(job: TrainingJob, accelerator: Accelerator, pad: int, load: LoadBase) -> tuple[Learner, SavedStart | None]:
    """The model to train; and its adapter before training, if its initialisation changed the base model's weights."""
    config = job.settings.config
    device = torch.device("cpu") if is_sharded(accelerator) else accelerator.device
    dtype = pick_dtype(job.settings.model.dtype, accelerator.device)
    changes = not config.leaves_base_alone
    base = load(job.model_folder, type_name(dtype), config.base_quantization, device, to_change=changes)
    if config.kernels == "auto":
        use_fused_kernels(base, device)
    model = config.make_trainable(base, job.settings.seeds.adapter_init)
    start = SavedStart(model) if config.moves_base_weights else None
    # DeepSpeed spreads weights over the processes where they are loaded, and can compute only once all is made ready.
    later, pad = accelerator.distributed_type.value == "DEEPSPEED", padding_id(base, pad)
    layout = None if later else try_model(job, model, accelerator, pad, dtype)
    learner = make_learner(model, config, layout or Layout(0, False, pad), accelerator, dtype)
    return (learner if layout else learner._replace(layout=try_model(job, model, accelerator, pad, dtype))), start


def try_model(job: TrainingJob, model: Any, accelerator: Accelerator, pad: int, dtype: torch.dtype) -> Layout:
    """How examples are laid out, as the model itself shows what is exact.

    Raises:
        UserError: if the model cannot be trained to continue texts.
    """
    if sees_ahead(getattr(model, "get_base_model", lambda: model)()):
        raise UserError(f"{job.model_folder}/config.json: the model's tokens see the tokens behind them, which it is to predict.")
    return choose_layout(model, job.settings.config, accelerator.device, pad, dtype)


def told_to_stop(state: Path) -> str:
    """The signal on which this process should stop, from a file of the process that started it; an empty text if none came."""
    try:
        return (state / STOP).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def main(described: Path) -> None:
    """Run the job of a JSON file as one of several processes. A mistake of the user is written to a file beside it."""
    if os.environ.get("RANK", "0") == "0":
        show_log(sys.stderr)
    try:
        train_here(TrainingJob.model_validate_json(described.read_bytes()), described.parent)
    except UserError as error:
        (described.parent / "error.txt").write_text(str(error), encoding="utf-8")
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
