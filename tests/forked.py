"""Snakemake and its jobs in processes forked from one that has imported the large packages already.

Most of what a dry run or a small job costs is the import of Snakemake or of PyTorch. Of loragrid nothing is imported there: each
process takes it from the project that it runs in.
"""

import asyncio
import importlib
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Lock
from unittest.mock import patch

LIBRARY = Path(__file__).parents[1] / "workflow" / "scripts"
FORKS = multiprocessing.get_context("forkserver")
# The main module too: else each process imports pytest.
IMPORTED = ["__main__", "snakemake.cli", "snakemake.script"]
IMPORTED += ["accelerate", "altair", "pandas", "peft", "pyarrow.parquet", "transformers.models.llama.modeling_llama"]
READ_BY_IMPORTS = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""What jobs find in their environment, or set for themselves: here that would come too late."""


def fork(function: Callable[..., object], *arguments: object) -> multiprocessing.process.BaseProcess:
    """A process that calls a function, not started yet. It has the large packages already."""
    with patch.dict(os.environ, READ_BY_IMPORTS):
        FORKS.set_forkserver_preload(IMPORTED)
        forkserver.ensure_running()
    return FORKS.Process(target=function, args=arguments)


class Run:
    """What `python -m snakemake` does in a folder, in the background."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.arguments = list(arguments)
        self.spoken = Path(tempfile.mkdtemp())
        said = [str(self.spoken / name) for name in ("stdout", "stderr")]
        self.process = fork(_become_snakemake, self.arguments, said, str(folder), dict(environment))
        self.process.start()

    def is_running(self) -> bool:
        return self.process.is_alive()

    def result(self, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
        """Wait for its end."""
        self.process.join(timeout_s)
        assert not self.is_running()
        stdout, stderr = ((self.spoken / name).read_text() for name in ("stdout", "stderr"))
        shutil.rmtree(self.spoken)
        return subprocess.CompletedProcess(self.arguments, self.process.exitcode, stdout, stderr)

    def kill(self) -> None:
        """End it, if it has not ended, and what it has started."""
        if self.is_running():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.join()


def _become_snakemake(arguments: list[str], said: list[str], folder: str, environment: dict[str, str]) -> None:
    os.setsid()
    _be_in(folder, environment, said)
    sys.path[:] = [folder, *(path for path in sys.path if path != str(LIBRARY))]
    assert "loragrid" not in sys.modules

    from snakemake.benchmark import benchmarked
    from snakemake.cli import main
    from snakemake.script import PythonScript
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    # Whoever starts a process asks whether the others have ended; that must not happen twice at once.
    one_at_a_time = Lock()

    def status(job: multiprocessing.Process) -> int | None:
        with one_at_a_time:
            return job.exitcode

    def execute_script(script: PythonScript, name: str, edit: bool = False) -> None:
        threads = {name: str(script.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        # The process of a job that has ended is gone at once, also for whoever wants to measure it.
        measured = FORKS.Event()
        job = FORKS.Process(target=_become_job, args=(name, said, folder, dict(os.environ) | threads, measured))
        with one_at_a_time:
            job.start()
        with benchmarked(job.pid, script.bench_record):
            measured.set()
            while status(job) is None:
                time.sleep(0.02)
        if job.exitcode:
            raise subprocess.CalledProcessError(job.exitcode, [sys.executable, name])

    PythonScript.execute_script = execute_script
    # The server that has forked this process is asked for the jobs too; another one would have to import everything.
    forkserver._forkserver.ensure_running = lambda: None
    # That of Slurm asks ten seconds later each time that nothing has finished.
    RemoteExecutor.sleep = lambda executor: asyncio.sleep(1)
    sys.argv = ["snakemake", *arguments]
    main(arguments)


def _become_job(script: str, said: list[str], folder: str, environment: dict[str, str], measured: Event) -> None:
    measured.wait()
    _be_in(folder, environment, said)
    # What the first process saw of folders may have changed.
    importlib.invalidate_caches()
    sys.path[0] = str(Path(script).parent)
    sys.argv = [script]
    runpy.run_path(script, run_name="__main__")


def _be_in(folder: str, environment: dict[str, str], said: list[str]) -> None:
    for file, stream in zip(said, (1, 2), strict=True):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(environment)
    # What was found in another environment.
    tempfile.tempdir = None
    os.chdir(folder)
