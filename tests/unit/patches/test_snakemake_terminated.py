"""Snakemake is asked to end while it holds its scheduler's lock, as it does while it records finished jobs."""

import os
import subprocess
import sys

from forked import LIBRARY

PROGRAM = """
import os, signal, threading, time
from loragrid.patches.snakemake_terminated import end_at_any_moment
from snakemake.scheduling.job_scheduler import JobScheduler

end_at_any_moment()
scheduler = JobScheduler.__new__(JobScheduler)
scheduler._lock, scheduler._open_jobs, scheduler._user_kill = threading.Lock(), threading.Semaphore(0), None
signal.signal(signal.SIGTERM, scheduler.exit_gracefully)
with scheduler._lock:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)
assert scheduler._open_jobs.acquire(timeout=20)
print(scheduler._user_kill)
"""


def test_snakemake_ends_when_it_is_asked_while_it_records_a_finished_job():
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=30)
    assert (ended.stdout.strip(), ended.returncode) == ("graceful", 0), ended.stderr
