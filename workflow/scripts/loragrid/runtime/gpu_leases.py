"""Whose turn it is on a GPU."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loragrid.errors import UserError
from loragrid.runtime.job import log

# These are no locks of `locks.py`: some leases are shared between jobs, and children hold them too, by the open files.
_leases: list[int] = []
"""Open lock files. A lease ends when the last process that has them open ends, in whatever way."""


def local_gpus() -> list[str]:
    """Ids of this machine's NVIDIA GPUs, without waking any GPU. A partitioned GPU (MIG) has the ids of its parts."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    found: list[tuple[str, list[str]]] = []
    for id_ in re.findall(r"MIG-[\w/-]+|GPU-[\w-]+", listed):
        if id_.startswith("GPU-"):
            found.append((id_, []))
        elif found:
            found[-1][1].append(id_)
    return [id_ for gpu, parts in found for id_ in parts or [gpu]]


def lease_gpus(resources: Mapping[str, Any], poll_s: float = 0.5) -> list[str]:
    """Wait until enough GPUs are free, and keep them until this process ends. Other jobs keep away from them.

    Jobs that wait stand in line, and only the first in line takes GPUs. So a job that wants several GPUs gets them although
    others want one each, and no two jobs wait for each other.

    If `CUDA_VISIBLE_DEVICES` is set, as by Slurm, these GPUs are the job's own. If the job states that it wants fewer, it
    leases among them. Where there are no GPUs, nothing is leased. Locks are files in the system's folder for temporary
    files, so that all workflows of a user respect them.

    Args:
        resources: of the job: `gpu`, how many GPUs it wants (0: it sees none), and `jobs_per_gpu`, how many jobs may share a
            GPU. Both are 1 by default, also if the value is None.

    Returns:
        The ids of the leased GPUs.

    Raises:
        UserError: where the machine has fewer GPUs than are wanted, a number makes no sense, or locks cannot be kept.
    """
    stated, sharing = resources.get("gpu"), resources.get("jobs_per_gpu")
    wanted, jobs_per_gpu = 1 if stated is None else stated, 1 if sharing is None else sharing
    if wanted < 0 or jobs_per_gpu < 1:
        raise UserError(f"resources gpu and jobs_per_gpu: expected at least 0 and 1, not {wanted} and {jobs_per_gpu}.")
    gpus, given = local_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        visible = _ids_of(given, gpus)
        gpus = visible if stated is not None and wanted < len(visible) else []
    if not gpus:
        return []
    if wanted > len(gpus):
        raise UserError(f"{wanted} GPUs are asked for (resource gpu), but this machine has {len(gpus)}.")
    if wanted > 1 and gpus[0].startswith("MIG-"):
        raise UserError(f"{wanted} GPUs are asked for (resource gpu), but a job can use only one part of partitioned GPUs (MIG).")
    leased = _wait_in_line(gpus, wanted, jobs_per_gpu, poll_s) if wanted else []
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(leased)
    if leased:
        log.info("leased GPU %s", ", ".join(leased))
    return leased


def lease_files() -> list[int]:
    """Open files that a child must keep (`pass_fds`) if it uses this job's GPUs. The lease then lasts as long as the child.

    Python closes them in every other child. A child that outlives a killed job still fills the GPU, so nobody else may have
    it. `leash` sees to it that such a child ends soon.
    """
    return list(_leases)


def _wait_in_line(gpus: Sequence[str], wanted: int, jobs_per_gpu: int, poll_s: float) -> list[str]:
    folder = _lease_folder()
    waiting = False

    def say_so() -> None:
        nonlocal waiting
        if not waiting:
            log.info("waiting for a free GPU: other jobs hold them or came first")
        waiting = True

    leased: list[str] = []
    line = _open(folder / "line.lock")
    if not _locks(line, fcntl.LOCK_EX):
        say_so()
        # A waiting job is woken as soon as the job before it has its GPUs, or dies.
        fcntl.flock(line, fcntl.LOCK_EX)
    while True:
        # Turn by turn, so that a GPU gets a second job only when each GPU has one.
        for turn in range(jobs_per_gpu):
            for gpu in gpus:
                if len(leased) < wanted and gpu not in leased and _lease(folder, gpu, turn, jobs_per_gpu > 1):
                    leased.append(gpu)
        if len(leased) == wanted:
            break
        say_so()
        time.sleep(poll_s)
    os.close(line)
    # systemd deletes old temporary files, open or not, unless their folder is locked.
    _leases.append(os.open(folder, os.O_RDONLY))
    fcntl.flock(_leases[-1], fcntl.LOCK_SH)
    return leased


def _lease_folder() -> Path:
    """The folder of the locks, where only this user can put files.

    Raises:
        UserError: if there is something else, or somebody else might have put files there.
    """
    # Containers may have user ids without a name.
    folder = Path(tempfile.gettempdir()) / f"loragrid-{os.getuid()}"
    what = f"{folder}: the folder for leases of GPUs"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise UserError(f"{what} cannot be made ({error.strerror}); set TMPDIR.") from None
    # A link could lead to files of anybody.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "a file"
        raise UserError(f"{what} is {kind}, not a folder; delete it, or set TMPDIR to a folder of your own.")
    if found.st_uid != os.getuid():
        raise UserError(f"{what} belongs to another user; set TMPDIR to a folder of your own.")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = f"{stat.S_IMODE(found.st_mode):o}"
        raise UserError(f"{what} can be written to by others (mode {mode}, expected 700); delete it when no job runs.")
    return folder


def _lease(folder: Path, gpu: str, turn: int, shared: bool) -> bool:
    """Lock a GPU, or one of its turns. A job that shares never meets a job that does not share."""
    name = gpu.replace("/", "_")
    wanted = [(name, fcntl.LOCK_SH), (f"{name}-{turn}", fcntl.LOCK_EX)] if shared else [(name, fcntl.LOCK_EX)]
    taken: list[int] = []
    for lock, mode in wanted:
        taken.append(_open(folder / f"{lock}.lock"))
        if not _locks(taken[-1], mode):
            for file in taken:
                os.close(file)
            return False
    _leases.extend(taken)
    return True


def _open(path: Path) -> int:
    try:
        # A link here would lock, or make, a file elsewhere. A pipe would let nobody in.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, mode=0o600)
    except OSError as error:
        raise UserError(f"{path}: this lock of a GPU cannot be opened ({error.strerror}); delete it when no job runs.") from None


def _locks(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ids_of(visible: str, gpus: Sequence[str]) -> list[str]:
    """The GPUs that a value of `CUDA_VISIBLE_DEVICES` names, by number or by the start of an id; none if any name is unclear."""
    found: list[str] = []
    for name in filter(None, map(str.strip, visible.split(","))):
        named = gpus[int(name) :][:1] if name.isdecimal() else [gpu for gpu in gpus if gpu.startswith(name)]
        if len(named) != 1:
            return []
        found += named
    return found
