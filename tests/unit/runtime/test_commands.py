"""Hints repeat what the user typed."""

import pytest

from loragrid.runtime.commands import REMEMBERED, command, remember_command

SAID_AGAIN = {
    "cores": ("--cores 4", "plan --cores 4"),
    "short names": ("-c 4 -d elsewhere", "plan --directory elsewhere --cores 4"),
    "no number of cores": ("-n", "plan --cores 1"),
    "as many cores as there are": ("-c", "plan --cores all"),
    "configuration files": ("adapters --cores 2 --configfile a.yaml b.yaml", "plan --cores 2 --configfile a.yaml b.yaml"),
    "files behind which an option stands": ("--configfiles a.yaml --cores 2 -n", "plan --cores 2 --configfile a.yaml"),
    "settings": ("-c 2 --config 'report={\"title\": 1}'", "plan --cores 2 --config 'report={\"title\": 1}'"),
    "a profile, which says how many cores": ("scores --profile slurm", "plan --profile slurm"),
    "a profile and cores": ("--profile workstation --cores 8 --resources gpu=2", "plan --profile workstation --cores 8"),
    "jobs": ("--jobs 20 --executor slurm", "plan --jobs 20"),
    "what was for one time": ("train.txt -c 2 --forceall --until score --batch scores=1/2 --quiet -R predict", "plan --cores 2"),
    "another folder and Snakefile": (
        "-s ../Snakefile --directory=x -c1",
        "plan --snakefile ../Snakefile --directory x --cores 1",
    ),
}


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    monkeypatch.setenv(REMEMBERED, "")
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")


@pytest.mark.parametrize(("typed", "hint"), SAID_AGAIN.values(), ids=SAID_AGAIN.keys())
def test_hint_has_the_users_own_configuration_profile_and_cores(typed, hint):
    import shlex

    remember_command(["/usr/bin/snakemake", *shlex.split(typed)])
    assert command("plan") == f"snakemake {hint}"


def test_hint_without_a_known_command_is_complete():
    assert command("prune") == "snakemake prune --cores 1"


@pytest.mark.parametrize("called", [".venv/bin/snakemake", "/venv/snakemake/__main__.py"])
def test_hint_calls_snakemake_as_the_user_did_where_the_shell_does_not_find_it(monkeypatch, called):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("sys.executable", "/my python")
    remember_command([called, "-c", "2"])
    program = called if called.endswith("/snakemake") else "'/my python' -m snakemake"
    assert command("plan", "--touch") == f"{program} plan --touch --cores 2"
