"""Trainings as processes that are killed, or asked to end, on one process and on several."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from torch.utils.cpp_extension import _get_build_directory

from loragrid.training import loop
from loragrid.training.job import STOP, run_training
from trainings import LIBRARY, TWO_PROCESSES, adapter_bytes, changed, course

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
from pathlib import Path
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


# It is asked to end in its third step, and again: at once, and on its way out.
STOPPED = """
import json, signal, sys
from pathlib import Path
from loragrid.training import loop as training
from loragrid.training import job as training_job
from loragrid.errors import UserError
described = Path(sys.argv[1])
asked = [signal.Signals[name] for name in sys.argv[2:]]
# Shells have what runs in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
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
def test_training_that_is_asked_to_end_saves_its_state_and_no_step_is_computed_twice(make_job, tmp_path, monkeypatch, signal_):
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
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "stopped").exists()

    def noted(seed, step, process, seed_step=loop.seed_step):
        with open(steps, "a") as file:
            print(step, file=file)
        seed_step(seed, step, process)

    monkeypatch.setattr(loop, "seed_step", noted)
    run_training(stopped, None)
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
    # After several steps: DeepSpeed's powers of betas differ only from the second on.
    wait_for(lambda: list(state.glob("*/held-*")), process)
    assert list(state.glob("*/sharded/progress.json"))
    launched = process.children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not wait_until_gone(launched)
    # What is left where it is killed while DeepSpeed's optimiser is compiled.
    Path(_get_build_directory("cpu_adam", verbose=False), "lock").touch()
    run_training(killed, zero3)
    pd.testing.assert_frame_equal(course(killed), course(whole))
    assert adapter_bytes(killed)[0] == adapter_bytes(whole)[0]
