"""A real Slurm on this machine alone: controller and nodes of its own, in one folder, on free ports."""

import contextlib
import getpass
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from servers import free_port

PACKAGES = "slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"
"""Debian's and Ubuntu's."""
DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr")
NODES = ("node1", "node2")
GPUS = 2
"""Of each node."""
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

SLURM_CONF = """
ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A job that is requeued waits until its credential has expired.
AuthInfo=socket={run}/munge.socket,cred_expire=10
CryptoType=crypto/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
SlurmdParameters=config_overrides
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd-%n.pid
SlurmctldLogFile={run}/slurmctld.log
SlurmdLogFile={run}/slurmd-%n.log
SlurmdSpoolDir={run}/spool-%n
StateSaveLocation={run}/state
# Seconds from the signal that asks a job to end to the one that ends it.
KillWait=15
CompleteWait=0
# Finished jobs can be asked about until the end.
MinJobAge=86400
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=gpu Nodes=ALL MaxTime=INFINITE PriorityTier=1
# A job here takes the place of one in `low`, which is asked to end and has the grace time to do so.
PartitionName=low Nodes=ALL MaxTime=INFINITE PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""
NODE = (
    "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=4 Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket=4 ThreadsPerCore=1 RealMemory=32000 Gres=gpu:{gpus}"
)
CGROUP_CONF = """
CgroupPlugin=cgroup/v1
CgroupAutomount=no
CgroupMountpoint={run}/nocgroup
ConstrainCores=no
ConstrainDevices=no
ConstrainRAMSpace=no
ConstrainSwapSpace=no
"""

TEST_SETTINGS = {
    "--slurm-status-command": "squeue",
    "--slurm-init-seconds-before-status-checks": "1",
    "--seconds-between-status-checks": "1",
    "--latency-wait": "5",
}
"""What the profile leaves to a cluster: this one has no accounting, no accounts and few jobs."""


def missing_programs() -> list[str]:
    return [name for name in (*DAEMONS, *CLIENTS[:-2]) if not shutil.which(name, path=SEARCHED)]


class Cluster:
    """A running Slurm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", "")]),
        }
        self.daemons: dict[str, subprocess.Popen] = {}

    @property
    def arguments(self) -> list[str]:
        """For Snakemake: the user's profile and what this cluster needs besides."""
        return ["--profile", "slurm", "--slurm-no-account", *(word for setting in TEST_SETTINGS.items() for word in setting)]

    def call(self, *command: str, check: bool = True) -> str:
        """Run a client of Slurm."""
        found = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def jobs(self) -> dict[int, dict[str, str]]:
        """What Slurm says of all jobs so far, by their number: JobState, NumCPUs, TRES, TimeLimit, NodeList, Comment and so on."""
        lines = self.call("scontrol", "--oneliner", "show", "jobs").splitlines()
        found = [dict(re.findall(r"(?:^| )([\w:/]+)=(\S*)", line)) for line in lines]
        return {int(job["JobId"]): job for job in found if "JobId" in job}

    def jobs_of(self, rule: str, folder: Path | None = None) -> dict[int, dict[str, str]]:
        """The jobs of one rule, the earliest first; with a folder, only those of the project there."""
        return {
            id_: job
            for id_, job in sorted(self.jobs().items())
            if job.get("Comment", "").startswith(f"rule_{rule}_") and folder in (None, Path(job["WorkDir"]))
        }

    def job_processes(self, **marks: str) -> dict[psutil.Process, dict[str, str]]:
        """The processes of this cluster's jobs, with their environment; of those that have the marks, as SLURM_JOB_ID="3"."""
        marks |= {"SLURM_CONF": self.environment["SLURM_CONF"]}
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                if "SLURM_JOB_ID" in environment and marks.items() <= environment.items():
                    found[process] = environment
        return found

    def kill_jobs(self, **marks: str) -> None:
        """Kill processes of jobs and those that watch over them, without a word to the controller."""
        killed = self.job_processes(**marks)
        for process in killed:
            with contextlib.suppress(psutil.Error):
                parent = process.parent()
                if parent and parent.name().startswith("slurmstepd"):
                    parent.kill()
        for process in killed:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def kill_node(self, name: str) -> None:
        """A node loses power: nothing on it gets a signal that it could answer."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()
        self.kill_jobs(SLURMD_NODENAME=name)
        # The controller does so by itself when SlurmdTimeout has passed.
        self.call("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=dead")

    def start(self, name: str, *command: str) -> None:
        program = shutil.which(command[0], path=SEARCHED)
        assert program
        with open(self.folder / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(
                [program, *command[1:]],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-N", name)

    def wait_until_idle(self, patience_s: float = 60) -> None:
        until = time.monotonic() + patience_s
        while True:
            states = self.call("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T", check=False).split()
            if states == ["idle"] * len(NODES):
                return
            ended = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > until:
                raise RuntimeError(f"{states}, ended: {ended}\n{self.reported()}")
            time.sleep(0.2)

    def reported(self) -> str:
        """The ends of all that its daemons wrote."""
        files = [*self.folder.glob("*.out"), *self.folder.glob("run/*.log")]
        return "\n".join(f"{file.name}: {file.read_text(errors='replace')[-2000:]}" for file in sorted(files))

    def stop(self) -> None:
        for name, daemon in reversed(list(self.daemons.items())):
            if name != "munged":
                _end(daemon)
        self.kill_jobs()
        if "munged" in self.daemons:
            _end(self.daemons["munged"])


def _end(daemon: subprocess.Popen) -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(timeout=10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Run a Slurm in an empty folder until the block ends; then nothing of it or of its jobs is left running."""
    cluster = Cluster(folder)
    _write_configuration(folder)
    run = folder / "run"
    try:
        # By force: pytest's folders are closed to other users, of whom there are none here.
        files = [f"--{kind}-file={run}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
        cluster.start("munged", "munged", "--foreground", "--force", f"--socket={run}/munge.socket", *files)
        until = time.monotonic() + 20
        while not (run / "munge.socket").exists():
            if cluster.daemons["munged"].poll() is not None or time.monotonic() > until:
                raise RuntimeError(cluster.reported())
            time.sleep(0.05)
        cluster.start("slurmctld", "slurmctld", "-D", "-i", "-c")
        for name in NODES:
            cluster.start_node(name)
        cluster.wait_until_idle()
        yield cluster
    finally:
        cluster.stop()


def _write_configuration(folder: Path) -> None:
    run, clients = folder / "run", folder / "bin"
    for path in (run, run / "state", run / "nocgroup", *(run / f"spool-{name}" for name in NODES), clients):
        path.mkdir(mode=0o755)
    (run / "munge.key").write_bytes(os.urandom(1024))
    (run / "munge.key").chmod(0o600)
    nodes = "\n".join(NODE.format(name=name, port=free_port(), gpus=GPUS) for name in NODES)
    settings = {"run": run, "port": free_port(), "user": getpass.getuser(), "nodes": nodes}
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**settings))
    (folder / "cgroup.conf").write_text(CGROUP_CONF.format(run=run))
    gpus = []
    for name in NODES:
        for number in range(GPUS):
            (run / f"{name}-gpu{number}").symlink_to(os.devnull)
        gpus.append(f"NodeName={name} Name=gpu File={run}/{name}-gpu[0-{GPUS - 1}]\n")
    (folder / "gres.conf").write_text("".join(gpus))
    for name in CLIENTS:
        if program := shutil.which(name):
            # The plugin takes SLURM_CONF away from the commands that it calls.
            (clients / name).write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {program} "$@"\n')
            (clients / name).chmod(0o755)
