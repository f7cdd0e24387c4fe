"""The experiments under config/experiments: each is whole, agrees with the others, and has a small variant and a page."""

import re
import shlex
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from snakemake.utils import update_config

from loragrid.config.load import parse_config
from loragrid.grid.feasibility import problems
from loragrid.grid.jobs.wanted import tiers
from loragrid.grid.runs import Grid
from loragrid.runtime.templates import is_true
from loragrid.runtime.yaml_files import load_yaml

REPOSITORY = Path(__file__).parents[3]
FILES = sorted((REPOSITORY / "config/experiments").glob("*.yaml"))
STUDIES = [path for path in FILES if path.with_name(f"{path.stem}-small.yaml") in FILES]
SMALL = [path.with_name(f"{path.stem}-small.yaml") for path in STUDIES]
OTHER = {
    "sources": {"s": {"splits": {"test": {"path": "s.csv"}}}},
    "tasks": {"t": {"source": "s", "instruction": "{{ a }}", "sample_types": {"x": {"output": "{{ b }}"}}, "scorers": ["l"]}},
    "scorers": {"l": {"type": "length"}},
    "report": {"metric": "l/words"},
}
"""A configuration of somebody else."""

AXES = (
    *("base_models", "tasks", "sample_types", "nb_samples", "configs", "loss_computations"),
    *("promptings", "prompt_variants", "decodings"),
)

SECTIONS = (
    *("models", "encoders", "reward_models", "sources", "tasks", "mixes", "configs", "scorers"),
    *("promptings", "decodings"),
)

WRITTEN = "\n".join(path.read_text() for path in (*FILES, *sorted((REPOSITORY / "docs/studies").glob("*.md"))))
COMMANDS = sorted(set(re.findall(r"^(?:#     )?(?:\w+=\S+ |.* && )*(snakemake .*?)(?: +#.*)?$", WRITTEN, re.M)))
"""Commands of Snakemake on the pages of the studies, and at the beginnings of their files."""


def of(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def over(raw, path):
    raw = deepcopy(raw)
    update_config(raw, load_yaml(path))
    return parse_config(raw)


@pytest.fixture(scope="module")
def default():
    return load_yaml(REPOSITORY / "config/config.yaml")


def test_there_are_the_five_studies():
    assert [path.stem for path in STUDIES] == [
        *("echo-prompts", "generics", "instruction-mixes-2023", "medical-gpt2", "summaries-3x2"),
    ]


@of(FILES)
def test_experiment_is_whole_over_the_default_and_over_any_other_configuration(path, default):
    for raw in (default, OTHER):
        config = over(raw, path)
        assert config.experiment == path.stem
        jobs = tiers(Grid(config))
        assert jobs["predictions"]
    # Files of the user are all that may be missing.
    missing = ("data/generics/", "'s.csv'")
    assert [problem for problem in problems(config) if not any(path in problem for path in missing)] == []


@of(FILES)
def test_what_comes_from_a_hub_is_pinned_to_a_commit(path):
    raw = load_yaml(path)
    named = [*raw["sources"].values(), *(entry.get("source", {}) for entry in raw.get("models", {}).values())]
    named += [entry["source"] for section in ("encoders", "reward_models") for entry in raw.get(section, {}).values()]
    for source in named:
        assert "hub" not in source or re.fullmatch(r"[0-9a-f]{40}", source["revision"]), source


def test_a_name_means_the_same_in_all_experiments_and_in_ready_tasks(default):
    ready = [load_yaml(path) for path in sorted((REPOSITORY / "config/tasks").glob("*.yaml"))]
    known = {}
    for raw in (default, *map(load_yaml, FILES)):
        for section in SECTIONS:
            for name, entry in raw.get(section, {}).items():
                meant = known.setdefault((section, str(name)), entry)
                of_tasks = [one[section][name] for one in ready if name in one.get(section, {})]
                assert all(entry == other for other in (meant, *of_tasks)), f"{section}.{name} of {raw.get('experiment')}"


@of(SMALL)
def test_small_variant_takes_everything_from_packages_and_asks_no_server(path):
    raw = load_yaml(path)
    assert all("package" in source for source in raw["sources"].values())
    assert all("package" in entry["source"] for section in ("models", "encoders") for entry in raw[section].values())
    assert not raw.get("reward_models")
    assert "judge" not in {scorer["type"] for scorer in raw["scorers"].values()}


@of(STUDIES)
def test_small_variant_varies_the_axes_of_its_study(path):
    study, small = (load_yaml(one)["grid"] for one in (path, path.with_name(f"{path.stem}-small.yaml")))

    def varied(grid):
        values = {axis: {str(value) for block in grid for value in block.get(axis, ())} for axis in AXES}
        return {axis for axis in AXES if len(values[axis]) > 1}

    assert varied(study) <= varied(small)


@of(STUDIES)
def test_study_has_a_page_that_names_both_files(path):
    page = (REPOSITORY / f"docs/studies/{path.stem}.md").read_text()
    assert f"config/experiments/{path.name}" in page
    assert f"config/experiments/{path.stem}-small.yaml" in page
    assert f"({path.stem}.md)" in (REPOSITORY / "docs/studies/README.md").read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_a_study_asks_for_targets_that_there_are(command, monkeypatch):
    from snakemake.cli import parse_args

    # Its page shows this file, for a reader to write.
    words = [word for word in shlex.split(command)[1:] if word != "config/judged.yaml"]
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("sys.argv", ["snakemake", *words])
    monkeypatch.setattr("sys.path", sys.path[:])
    _, understood = parse_args(words)
    files = (REPOSITORY / "Snakefile", *(REPOSITORY / "workflow/rules").glob("*.smk"))
    assert set(understood.targets) <= {rule for file in files for rule in re.findall(r"^rule (\w+):", file.read_text(), re.M)}
    assert understood.configfile
    assert set(understood.configfile) <= {path.relative_to(REPOSITORY) for path in FILES}
    assert understood.cores or understood.executor == "slurm"
    of_train = dict(re.findall(r"\btrain:(\w+)=(\S+)", command))
    if "accelerate" in of_train:
        assert int(of_train["gpu"]) == load_yaml(Path(of_train["accelerate"]))["num_processes"]


def test_commands_of_studies_were_found():
    assert len(COMMANDS) > 15
    assert "snakemake cut_offs --cores 4 --configfile config/experiments/medical-gpt2.yaml" in COMMANDS
    assert any(command.startswith("snakemake --cores 8 --set-resources train:gpu=2") for command in COMMANDS)


def test_instruction_kinds_of_the_alpaca_data_do_not_overlap():
    sources = load_yaml(REPOSITORY / "config/experiments/instruction-mixes-2023.yaml")["sources"]
    kinds = {name: source["where"] for name, source in sources.items() if source["hub"] == "tatsu-lab/alpaca"}
    assert len(kinds) == 12
    words = sorted({word for where in kinds.values() for word in re.findall(r"'([a-z-]+)'", where)})
    for word in words:
        for rest, text in (("a poem", ""), ("a Python function", ""), ("it", "a text")):
            row = {"instruction": f"{word.capitalize()} {rest}.", "input": text, "output": "x"}
            assert len([name for name, where in kinds.items() if is_true(where, row)]) <= 1, row
