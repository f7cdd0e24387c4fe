"""A locked folder: whether somebody works there, or somebody was killed there."""

import subprocess
import sys
import time

import pytest

from loragrid.runtime.commands import REMEMBERED
from loragrid.runtime.folder_locks import locked_sentence


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(REMEMBERED, "snakemake --cores 4 --configfile mine.yaml")
    return tmp_path


@pytest.fixture
def start(folder):
    """A process that was started like Snakemake, in a folder."""
    started = []

    def run(where, name="snakemake"):
        script = folder / name
        script.write_text("print('here', flush=True)\nimport time\ntime.sleep(60)\n")
        process = subprocess.Popen([sys.executable, str(script), "--cores", "4"], cwd=where, stdout=subprocess.PIPE)
        assert process.stdout.readline()
        started.append(process)
        return process.pid

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_living_snakemake_is_named(start, folder):
    pid = start(folder)
    said = locked_sentence()
    assert said.startswith(f"Another Snakemake works in this folder: process {pid} of ")
    assert time.strftime("since %d %b ") in said
    assert said.endswith("Wait until it has ended, or stop it (Ctrl-C, or kill with its number); then type your command again.")


def test_lock_of_a_killed_snakemake_is_told_with_the_users_own_command(start, folder):
    (folder / "elsewhere").mkdir()
    start(folder / "elsewhere")
    start(folder, "snakes")
    assert locked_sentence() == (
        "This folder is locked, but no Snakemake runs in it on this machine: the last one was killed. If none runs in it on "
        "another machine either, unlock it, which loses nothing, then type your command again. To unlock: "
        "snakemake --unlock --cores 4 --configfile mine.yaml"
    )
