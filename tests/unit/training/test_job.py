"""Trainings as processes: killed, launched on several processes, followed."""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from safetensors.torch import load_file

from loragrid.data.render import make_renderer
from loragrid.data.tokens import tokenise, write_tokens
from loragrid.errors import UserError
from loragrid.records import write_records
from loragrid.runtime.model_folders import OTHER_FILES
from loragrid.training.job import STOP, TrainingJob, run_training
from loragrid.training.methods import FullTraining, LoraTraining
from loragrid.training.trackers import checked_trackers

LIBRARY = "workflow/scripts"
RUN = {
    "base_model": "tiny",
    "task": "t",
    "sample_type": "s",
    "mix": "m",
    "nb_samples": 8,
    "config": "c",
    "loss_computation": "completion",
    "seed": 1,
}


@pytest.fixture
def make_job(tiny_model, tokenizer, make_example, tmp_path):
    examples = [make_example(str(i), input="word " * (3 * i), output=f"answer {'x ' * (i % 3)}{i}") for i in range(12)]
    write_records(tmp_path / "train.jsonl", examples[:9])
    write_records(tmp_path / "validation.jsonl", examples[9:])
    write_tokens(tmp_path / "tokens.parquet", tokenise(make_renderer(tokenizer), {"train": examples}))

    def make(name, **config):
        keys = {"rank": 4, "batch_size": 4, "epochs": 3, "learning_rate": 0.01, "dropout": 0.1, "evaluations": 3} | config
        told = {
            "version": 1,
            "run": RUN,
            "model": {"dtype": "float32", "prompt_format": "auto", "system_prompt": None, "template": None},
            "config": LoraTraining(**keys).model_dump(),
            "seeds": {"adapter_init": 1, "data_order": 1, "mix": 1},
        }
        return TrainingJob(
            settings=told,
            folder=str(tmp_path / name),
            state=str(tmp_path / f"state-{name}"),
            model=str(tiny_model / "model.safetensors"),
            tokenizer=str(tiny_model / "tokenizer.json"),
            train=str(tmp_path / "train.jsonl"),
            validation=str(tmp_path / "validation.jsonl"),
            tokens=[str(tmp_path / "tokens.parquet")],
            threads=1,
            checkpoint_minutes=0,
        )

    return make


def changed(job, settings=None, **values):
    """A job with other values, also of its settings."""
    values["settings"] = job.settings.model_copy(update=settings or {})
    return job.model_copy(update=values)


def adapter_bytes(job):
    names = ("adapter_model.safetensors", "adapter_config.json")
    return [hashlib.sha256(open(f"{job.folder}/{name}", "rb").read()).hexdigest() for name in names]


def course(job):
    return pd.read_csv(f"{job.folder}/loss.csv").drop(columns="seconds")


PATIENCE_S = 300
"""More than anything takes on a busy machine."""


def wait_for(happened, process, patience_s=PATIENCE_S):
    """Wait until something has happened, while a process runs."""
    until = time.monotonic() + patience_s
    while not (value := happened()):
        assert process.poll() is None
        if time.monotonic() > until:
            process.kill()
            pytest.fail(f"waited {patience_s} s in vain")
        time.sleep(0.02)
    return value


def wait_until_gone(processes, patience_s=PATIENCE_S):
    """Wait until none of these processes runs; what then does is killed.

    Returns:
        Those that had to be killed.
    """
    until = time.monotonic() + patience_s
    # What its new parent does not ask for stays a zombie.
    while left := [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    for one in left:
        one.kill()
    return left


PROGRAM = """
import json, sys
from loragrid.training import job as training_job
training_job.run_training(training_job.TrainingJob.model_validate_json(open(sys.argv[1]).read()), None)
"""
SLOW = """
import time
from loragrid.training import loop as training
seed_step = training.seed_step
def slow(seed, step, process):
    # It cannot come to its end before it is killed.
    time.sleep(3600 if step == {last} else 0.2)
    seed_step(seed, step, process)
training.seed_step = slow
"""


def test_training_that_is_killed_ends_with_the_adapter_of_one_that_is_not(make_job, tmp_path):
    whole, killed = make_job("whole", epochs=5), make_job("killed", epochs=5)
    run_training(whole, None)
    (tmp_path / "job.json").write_text(json.dumps(killed.model_dump()))
    environment = os.environ | {"PYTHONPATH": LIBRARY}
    program = SLOW.format(last=15) + PROGRAM
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "job.json")], env=environment)
    state = tmp_path / "state-killed"
    wait_for(lambda: list(state.glob("*/checkpoint.safetensors")), process)
    # Any moment will do.
    time.sleep(random.uniform(0, 1.5))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()
    assert [json.loads(path.read_text()) for path in state.glob("*.json")] == [{"result": f"{killed.folder}/manifest.json"}]
    run_training(killed, None)
    assert adapter_bytes(killed) == adapter_bytes(whole)
    pd.testing.assert_frame_equal(course(killed), course(whole))
    assert not list(state.iterdir())


# Without argument it goes on to its end; else it is asked to end in its third step, and again: at once, and on its way out.
STOPPED = """
import json, signal, sys
from pathlib import Path
from loragrid.training import loop as training
from loragrid.training import job as training_job
from loragrid.errors import UserError
described = Path(sys.argv[1])
asked = [signal.Signals[name] for name in sys.argv[2:]]
seed_step = training.seed_step
def noted(seed, step, process):
    with open(described.with_suffix(".steps"), "a") as steps:
        print(step, file=steps)
    if step == 3:
        for number in asked * 2:
            signal.raise_signal(number)
    seed_step(seed, step, process)
training.seed_step = noted
try:
    training_job.run_training(training_job.TrainingJob.model_validate_json(described.read_text()), None)
except UserError as error:
    for number in asked:
        signal.raise_signal(number)
    sys.exit(str(error))
"""


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_training_that_is_asked_to_end_saves_its_state_and_no_step_is_computed_twice(make_job, tmp_path, signal_):
    whole, stopped = (changed(make_job(name, epochs=10), checkpoint_minutes=10) for name in ("whole", "stopped"))
    run_training(whole, None)
    described, steps = tmp_path / "job.json", tmp_path / "job.steps"
    described.write_text(json.dumps(stopped.model_dump()))
    command, environment = [sys.executable, "-c", STOPPED, str(described)], os.environ | {"PYTHONPATH": LIBRARY}
    # Where several pass it on, it comes more than once.
    process = subprocess.run([*command, signal_.name], env=environment, stderr=subprocess.PIPE, text=True)
    assert process.returncode == 1
    done = len(steps.read_text().split())
    assert f"stopped by {signal_.name} after step {done} of 30; its state is saved" in process.stderr
    assert not (tmp_path / "stopped").exists()
    subprocess.run(command, env=environment, check=True)
    assert [int(step) for step in steps.read_text().split()] == list(range(1, 31))
    assert adapter_bytes(stopped) == adapter_bytes(whole)


# Python runs a file of this name at its start: so the processes that accelerate starts are found in the middle of a training.
HELD = """
import os, sys, time
from pathlib import Path
if "LOCAL_RANK" in os.environ:
    from loragrid.training import loop as training
    from loragrid.training import job as training_job
    state = Path(sys.orig_argv[-1]).parent
    def wait_for(file):
        until = time.monotonic() + {patience_s}
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.02)
    seed_step = training.seed_step
    def held(seed, step, process):
        if step == {step}:
            (state / f"held-{{process}}").touch()
            wait_for(state / {until!r})
        seed_step(seed, step, process)
    training.seed_step = held
    if os.environ["RANK"] == "1":
        # One is not told, and has the last word.
        training_job.told_to_stop = lambda state: ""
        class Last(training.StoppedError):
            def __init__(self, *args):
                wait_for(state / "error.txt")
                super().__init__(*args)
        training.StoppedError = Last
"""
SAYING = """
import json, sys
from loragrid.training import job as training_job
from loragrid.errors import UserError
try:
    training_job.run_training(training_job.TrainingJob.model_validate_json(open(sys.argv[1]).read()), sys.argv[2])
except UserError as error:
    print("ending", flush=True)
    sys.stdin.readline()
    sys.exit(str(error))
"""


def test_launched_training_that_is_asked_to_end_saves_its_state_and_goes_on_from_there(make_job, tmp_path):
    whole, stopped = (changed(make_job(name, epochs=10), checkpoint_minutes=10) for name in ("whole", "stopped"))
    run_training(whole, TWO_PROCESSES)
    described = tmp_path / "job.json"
    described.write_text(json.dumps(stopped.model_dump()))
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(HELD.format(step=20, until=STOP, patience_s=PATIENCE_S))
    process = subprocess.Popen(
        [sys.executable, "-c", SAYING, str(described), TWO_PROCESSES],
        env=os.environ | {"PYTHONPATH": f"{LIBRARY}{os.pathsep}{tmp_path / 'hooks'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    state = tmp_path / "state-stopped"
    wait_for(lambda: len(list(state.glob("*/held-*"))) == 2, process)
    # To all processes, the launcher too, then once more, and once more on their way out.
    os.killpg(process.pid, signal.SIGTERM)
    wait_for(lambda: list(state.glob(f"*/{STOP}")), process)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.stdout.readline() == "ending\n"
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate("\n")
    assert process.returncode == 1
    assert "stopped by SIGTERM after step 20 of 30; its state is saved" in said
    [saved] = state.glob("*/checkpoint.safetensors")
    run_training(stopped, TWO_PROCESSES)
    assert adapter_bytes(stopped) == adapter_bytes(whole)
    assert not saved.exists()


def test_state_of_another_training_is_not_taken_up(make_job, tmp_path):
    first = make_job("first")
    run_training(first, None)
    other = changed(make_job("other", learning_rate=0.02), state=first.state)
    unfinished = tmp_path / "state-first" / "0123"
    unfinished.mkdir()
    (unfinished / "checkpoint.safetensors").write_bytes(b"of another training")
    run_training(other, None)
    assert course(other)["step"].tolist() == course(first)["step"].tolist()
    assert unfinished.exists()


TWO_PROCESSES = "profiles/accelerate/cpu.yaml"


def test_two_processes_learn_what_one_does_with_the_same_batches(make_job):
    one, two = make_job("one", dropout=0.0), make_job("two", dropout=0.0)
    run_training(one, None)
    run_training(two, TWO_PROCESSES)
    pd.testing.assert_frame_equal(course(one), course(two), rtol=1e-4)
    assert json.load(open(f"{two.folder}/manifest.json"))["processes"] == 2  # noqa: SIM115


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_launched_processes_end_with_a_job_that_is_killed(make_job, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps(make_job("killed", epochs=3000).model_dump()))
    program = PROGRAM.replace("None)", f"{TWO_PROCESSES!r})")
    process = psutil.Popen([sys.executable, "-c", program, str(tmp_path / "job.json")], env=os.environ | {"PYTHONPATH": LIBRARY})
    wait_for(lambda: list((tmp_path / "state-killed").glob("*/checkpoint.safetensors")), process)
    launched = process.children(recursive=True)
    assert len(launched) >= 3
    process.kill()
    process.wait()
    assert not wait_until_gone(launched)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_launched_processes_end_with_a_job_that_is_killed_while_they_start(make_job, tmp_path):
    """Their imports take seconds."""
    (tmp_path / "job.json").write_text(json.dumps(make_job("early", epochs=3000).model_dump()))
    program = PROGRAM.replace("None)", f"{TWO_PROCESSES!r})")
    process = psutil.Popen([sys.executable, "-c", program, str(tmp_path / "job.json")], env=os.environ | {"PYTHONPATH": LIBRARY})
    wait_for(lambda: sum(map(imports_torch, process.children(recursive=True))) == 2, process)
    launched = process.children(recursive=True)
    assert len(launched) >= 3
    process.kill()
    process.wait()
    assert not wait_until_gone(launched)


def imports_torch(process):
    """Whether this is one of the processes that train, and has begun to import: then it is on its leash."""
    with contextlib.suppress(psutil.Error):
        return "LOCAL_RANK" in process.environ() and any("libtorch" in mapped.path for mapped in process.memory_maps())
    return False


def test_failure_in_a_launched_process_is_told_in_its_own_sentence(make_job, tmp_path):
    with pytest.raises(UserError, match=r"training loss is (nan|inf) at step"):
        run_training(make_job("hot", learning_rate=1e30, max_grad_norm=None), TWO_PROCESSES)
    assert not (tmp_path / "hot").exists()


@pytest.mark.parametrize(
    ("keys", "message"), [({"max_length": 8}, "no target token"), ({"learning_rate": 1e30, "max_grad_norm": None}, "loss is")]
)
def test_training_that_fails_leaves_no_adapter(make_job, tmp_path, keys, message):
    with pytest.raises(UserError, match=message):
        run_training(make_job("none", **keys), None)
    assert not (tmp_path / "none").exists()


def test_training_in_float16_is_refused(make_job):
    job = make_job("half")
    with pytest.raises(UserError, match=r"models\.tiny\.dtype: float16 is for prediction only"):
        run_training(changed(job, {"model": job.settings.model.model_copy(update={"dtype": "float16"})}), None)


def test_tracker_without_its_package_is_named():
    with pytest.raises(UserError, match="trackers: 'no_such_tracker' needs the package"):
        checked_trackers(["no_such_tracker"])


def test_tensorboard_shows_the_course_of_the_loss(make_job, tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.chdir(tmp_path)
    job = changed(make_job("followed"), trackers=["tensorboard"])
    run_training(job, None)
    [events] = tmp_path.glob("results/trackers/tiny/followed/loragrid/events*")
    shown = accumulator.EventAccumulator(str(events))
    shown.Reload()
    losses = [(event.step, event.value) for event in shown.Scalars("train_loss")]
    of_course = course(job).dropna(subset=["train_loss"])
    assert [step for step, _ in losses] == of_course["step"].tolist()
    assert [value for _, value in losses] == pytest.approx(of_course["train_loss"].tolist(), rel=1e-6)


@pytest.fixture
def zero3(tmp_path, monkeypatch):
    """The shipped DeepSpeed example, for one process on a CPU: accelerate starts several only on GPUs."""
    pytest.importorskip("deepspeed")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    settings = yaml.safe_load(Path("profiles/accelerate/zero3-offload.yaml").read_text())
    (tmp_path / "zero3.yaml").write_text(yaml.safe_dump(settings | {"num_processes": 1}))
    return str(tmp_path / "zero3.yaml")


def test_full_training_archives_what_its_model_needs_besides_for_a_storage(make_job):
    config = FullTraining(method="full", batch_size=4, epochs=1, learning_rate=0.01)
    job = make_job("whole")
    run_training(changed(job, {"config": config}, other_files=f"{job.folder}/{OTHER_FILES}"), None)
    with tarfile.open(f"{job.folder}/{OTHER_FILES}") as archive:
        names = set(archive.getnames())
    assert {"tokenizer.json", "tokenizer_config.json", "generation_config.json"} <= names
    assert names.isdisjoint({"model.safetensors", "config.json", "loss.csv", "manifest.json", OTHER_FILES})


def test_adapter_names_its_base_model_by_its_result_wherever_that_was_loaded_from(make_job):
    job = make_job("adapter", epochs=1)
    run_training(job, None)
    assert json.loads(Path(job.folder, "adapter_config.json").read_text())["base_model_name_or_path"] == "results/models/tiny"
    assert json.loads(Path(job.folder, "manifest.json").read_text())["tokenizer"] == "results/models/tiny"


@pytest.mark.parametrize("method", ["lora", "full"])
def test_zero3_with_offload_learns_what_one_process_does(make_job, zero3, method):
    whole = FullTraining(method="full", batch_size=4, epochs=3, learning_rate=0.01, evaluations=3)
    one, sharded = (
        job if method == "lora" else changed(job, {"config": whole})
        for job in (make_job("one", dropout=0.0), make_job("two", dropout=0.0))
    )
    run_training(one, None)
    run_training(sharded, zero3)
    pd.testing.assert_frame_equal(course(one), course(sharded), rtol=1e-4)
    assert json.loads(Path(sharded.folder, "manifest.json").read_text())["distribution"] == "DEEPSPEED"
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    expected, found = (load_file(Path(job.folder, name)) for job in (one, sharded))
    assert expected.keys() == found.keys()
    for key, weight in expected.items():
        torch.testing.assert_close(found[key], weight, rtol=1e-3, atol=1e-5)


def test_zero3_training_that_is_killed_ends_like_one_that_is_not(make_job, zero3, tmp_path):
    whole, killed = make_job("whole", epochs=5, dropout=0.0), make_job("killed", epochs=5, dropout=0.0)
    run_training(whole, zero3)
    (tmp_path / "job.json").write_text(json.dumps(killed.model_dump()))
    program = PROGRAM.replace("None)", f"{zero3!r})")
    (tmp_path / "hooks").mkdir()
    # Until it is killed.
    (tmp_path / "hooks" / "sitecustomize.py").write_text(HELD.format(step=10, until="never", patience_s=3600))
    process = psutil.Popen(
        [sys.executable, "-c", program, str(tmp_path / "job.json")],
        env=os.environ | {"PYTHONPATH": f"{LIBRARY}{os.pathsep}{tmp_path / 'hooks'}"},
        start_new_session=True,
    )
    state = tmp_path / "state-killed"
    wait_for(lambda: list(state.glob("*/sharded/progress.json")), process)
    launched = process.children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not wait_until_gone(launched)
    run_training(killed, zero3)
    pd.testing.assert_frame_equal(course(killed), course(whole))
    assert adapter_bytes(killed)[0] == adapter_bytes(whole)[0]


@pytest.mark.parametrize("path", sorted(Path("profiles/accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_launch_settings_are_understood_by_accelerate(path):
    settings = load_config_from_file(str(path))
    assert settings.mixed_precision == "no"
    assert settings.num_processes == 2
    if path.stem == "zero3-offload":
        expected = {"zero_stage": 3, "offload_param_device": "cpu", "offload_optimizer_device": "cpu"}
        assert expected.items() <= settings.deepspeed_config.items()
    if path.stem == "fsdp":
        arguments = ["--config_file", str(path), "script.py"]
        args, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
        assert args.use_fsdp
        assert args.fsdp_version == 2
