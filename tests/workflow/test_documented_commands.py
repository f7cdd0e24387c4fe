"""Every command of the documentation, as it is written there: it is run, or a table here says why not."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from projects import REPOSITORY

FIRST_WORDS = (
    "snakemake",
    "make",
    "rm",
    "tar",
    "python",
    ".venv/bin/python",
    ".",
    "vllm",
    "aws",
    "pip",
    "uv",
    "git",
    "sh",
    "export",
    "kill",
)
PAGES = subprocess.run(["git", "ls-files", "*.md"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()

REALLY = (
    "snakemake plan --cores 4",
    "snakemake doubtful --cores 1",
    "snakemake verify --cores 1",
    "snakemake prunable --cores 1",
    "snakemake prune --cores 1",
    "snakemake partial_report --cores 1",
    "snakemake summary --cores 1",
    "snakemake --unlock",
    "snakemake --cores 1 --touch",
)
"""Commands that take a moment. All others of Snakemake are dry runs here: `-n` is put behind them."""

FOR = {"FILE": "config/experiments/mine.yaml", "NAME": "slurm", "…": "shout/gold/tiny/base"}
"""What stands for the words that a reader replaces."""

ELSEWHERE = {
    r"(export )?PYTHONPATH=\S+( python| \.venv/bin/python)?( tests/benchmarks/.*)?|python tests/(gpu|benchmarks)/.*": "needs a GPU, or measures for minutes",
    r"\.venv/bin/python tests/benchmarks/.*": "measures for minutes",
    r"PYTHONPATH=\S+ \.venv/bin/python -m simulations\..*": "simulates for minutes",
    r"git worktree add .*": "makes another checkout, to measure it",
    r"\.venv/bin/python -c .*": "shows whether there is a GPU",
    r"\.venv/bin/python -m pip install .*": "installs a plugin",
    r"VLLM_\w+=True vllm serve .*": "needs vLLM and a GPU",
    r"snakemake --cores 4 --default-storage-provider s3 .*": "needs a plugin and a bucket; tests/workflow/test_storage.py has another storage",
    r"aws s3 sync .*": "needs a bucket",
    r"export OPENAI_BASE_URL=.*": "names a server of the user",
    r"python convert_hf_to_gguf\.py .*": "is llama.cpp's",
    r".*--configfile config/experiments/(?!mine|letters)\S+\.yaml.*": "plans thousands of jobs, or wants files of the user; "
    "tests/unit/config/test_ready_experiments.py expands these grids",
    r"snakemake --cores 1 --report .*": "takes minutes; tests/workflow/test_snakemake_report.py makes one",
    r"\. \.venv/bin/activate": "changes the shell of the user",
    r"pip install": "is what other programs do",
    r"kill -9|tar --files-from": "names a program, says nothing of what to do",
}
"""Commands that no test runs, as regular expressions, and why."""


def written(text: str) -> list[str]:
    """The commands in a page: lines of shell in blocks, indented lines, and spans of code that begin with a program."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    lines = [line for block in blocks if not block.startswith("#!") for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(r"`([^`]+)`", rest) + re.findall(r"^    (\S.*)$", rest, re.M)
    lines += [span for span in spans if "\n\n" not in span]
    plain = (" ".join(re.sub(r"\s+#.*|\s*&\s*(#.*)?$", "", line).split()) for line in lines)
    return [
        line
        for line in plain
        if re.fullmatch(rf"(\w+=\S+ )*({'|'.join(map(re.escape, FIRST_WORDS))}) \S.*|export .*|PYTHONPATH=.*", line)
    ]


COMMANDS = list(dict.fromkeys(command for page in PAGES for command in written((REPOSITORY / page).read_text())))
OURS = [command for command in COMMANDS if not any(re.fullmatch(pattern, command) for pattern in ELSEWHERE)]
OF_SNAKEMAKE = [command for command in OURS if not command.startswith(("make ", "tar "))]


class Call(NamedTuple):
    """A command of Snakemake: what comes before it, its environment, its targets, its options."""

    before: str
    environment: dict[str, str]
    targets: list[str]
    options: list[str]


def call_of(command: str) -> Call:
    before, _, last = command.rpartition("&& ")
    words = [re.sub("FILE|NAME|…", lambda word: FOR[word[0]], word) for word in shlex.split(last)]
    environment = dict(word.split("=", 1) for word in words[: words.index("snakemake")])
    arguments = words[words.index("snakemake") + 1 :]
    first = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return Call(before.removesuffix("&& "), environment, arguments[:first], arguments[first:])


def alike(call: Call) -> str:
    """What two commands have in common that differ only in their targets and in the number of cores."""
    options = re.sub(r"--cores \d+|-n\b", "", shlex.join(call.options)).split()
    return shlex.join([*(f"{name}={value}" for name, value in call.environment.items()), *options])


DRY = [call_of(command) for command in OF_SNAKEMAKE if command not in REALLY]
KINDS = {kind: [call for call in DRY if alike(call) == kind] for kind in map(alike, DRY)}


@pytest.fixture(scope="module")
def project(finished):
    """The tiny experiment with all that the documentation speaks of."""
    with finished.restored():

        def more(config):
            config["trackers"] = ["tensorboard"]
            config["hub"] = {"repository": "us/{base_model}-{task}-{config}-n{nb_samples}-{seed}"}
            rated = {"tasks": ["shout"], "examples": 2, "annotators": ["anna"], "criteria": {"polite": {"question": "Is it?"}}}
            config["human_evaluations"] = {"readers": rated}

        finished.edit_config(more)
        for name, what in (("mine", {"report": {"title": "Mine"}}), ("letters", {"experiment": "letters"})):
            (finished.folder / f"config/experiments/{name}.yaml").write_text(yaml.safe_dump(what))
        (finished.folder / "results/predictions/outcome").mkdir()
        yield finished


@pytest.fixture
def run(project, monkeypatch):
    """Snakemake with these arguments and no others."""
    monkeypatch.setattr(type(project), "_arguments", lambda self, given: list(given))
    return project.snakemake


@pytest.mark.parametrize("command", REALLY)
def test_command_runs_as_it_is_written(run, command):
    call = call_of(command)
    run(*call.targets, *call.options)


@pytest.mark.parametrize("kind", KINDS)
def test_commands_that_take_long_are_planned_as_they_are_written(project, run, monkeypatch, kind):
    """Those that differ only in their targets are one dry run, of all their targets."""
    calls = KINDS[kind]
    for call in calls:
        subprocess.run(call.before, shell=True, cwd=project.folder, check=True)
        for name, value in call.environment.items():
            monkeypatch.setitem(project.environment, name, value)
    targets = {target for call in calls for target in call.targets or ["all"]}
    options = calls[0].options
    run(*sorted(targets), *options, *([] if "-n" in options else ["-n"]))


@pytest.mark.parametrize("command", OF_SNAKEMAKE)
def test_snakemake_takes_targets_for_targets(project, monkeypatch, command):
    from snakemake.cli import parse_args

    call = call_of(command)
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr("sys.argv", ["snakemake", *call.targets, *call.options])
    monkeypatch.setattr("sys.path", sys.path[:])
    _, understood = parse_args([*call.targets, *call.options])
    assert list(understood.targets) == call.targets
    # Else Snakemake asks for the number of cores.
    assert understood.cores or understood.dryrun or understood.unlock


def test_what_is_listed_for_removal_can_be_packed(project):
    [command] = [one for one in OURS if one.startswith("tar ")]
    (project.folder / "results/prunable.txt").write_text("results/report.html\n")
    subprocess.run(command, shell=True, cwd=project.folder, check=True)
    assert (project.folder / "old.tgz").stat().st_size


def test_targets_of_make_are_in_the_makefile():
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = {word for one in OURS if one.startswith("make ") for word in one.split()[1:] if "=" not in word}
    assert {"demo", "test", "test-vllm", "test-inspect", "help", "extras", "lint", "schema", "lock"} <= targets
    assert targets <= set(re.findall(r"^([\w-]+):", makefile, re.M))


def test_commands_were_found_and_those_that_are_not_run_are_still_documented():
    assert len(OF_SNAKEMAKE) > 30
    assert {"snakemake --cores 4 -n", "snakemake plan --profile slurm", *REALLY} <= set(OF_SNAKEMAKE)
    assert all(any(re.fullmatch(pattern, command) for command in COMMANDS) for pattern in ELSEWHERE)
    assert all(Path(REPOSITORY / word).exists() for one in COMMANDS for word in one.split() if word.startswith("tests/"))
