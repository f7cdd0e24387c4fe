"""The environments for `--software-deployment-method conda`: each has what the scripts import that run in it."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from projects import REPOSITORY

SCRIPTS = REPOSITORY / "workflow/scripts"
DISTRIBUTIONS = {"sklearn": "scikit-learn", "vl_convert": "vl-convert-python", "yaml": "pyyaml"}
"""Of modules that are named otherwise than what is installed."""

PUT_THERE = {"snakemake"}
"""Snakemake puts itself on the path of scripts."""

IMPORTED_LATER = {
    "data": {
        "datasets",  # data of the hub
        "datasketch",  # near duplicates
        "itables",
        "krippendorff",
        "openpyxl",
        "psutil",
        "pyarrow",
        "regex",
        "safetensors",  # weights that doubtful looks into
        "statsmodels",
    },
    "fetch": {"psutil", "unearth"},
    "infer": {"gguf", "openai", "peft", "psutil", "pyarrow", "regex", "safetensors", "tqdm", "transformers"},
    "score": {"evaluate", "openai", "openpyxl", "psutil", "regex", "rouge-score", "sacrebleu", "sentence-transformers"}
    | {"scikit-learn", "torch", "tqdm", "transformers"},
    "track": {"accelerate", "psutil", "pyarrow"},
    "train": {"accelerate", "huggingface-hub", "peft", "psutil", "safetensors", "tqdm", "transformers"},
}
"""What jobs import when they need it, by environment. What scripts import at once is found."""


def scripts_of_environments() -> Iterator[tuple[str, str]]:
    for rule in sorted((REPOSITORY / "workflow/rules").glob("*.smk")):
        yield from re.findall(
            r'conda:\s*"../../envs/(\w+)\.yaml".*?script:\s*"../scripts/(\w+)\.py"', rule.read_text(), re.DOTALL
        )


def imported_at_once(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (one.name for one in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (module, *(f"{module}.{one.name}" for one in names))


def file_of(module: str) -> Path | None:
    path = SCRIPTS.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()), None)


def needed_at_once(script: str) -> set[str]:
    """What must be installed so that a script begins, through all modules of the library."""
    seen, todo, needed = set(), [SCRIPTS / f"{script}.py"], set()
    while todo:
        if (path := todo.pop()) in seen:
            continue
        seen.add(path)
        for module in imported_at_once(ast.parse(path.read_text()).body):
            package = module.partition(".")[0]
            if package == "loragrid":
                todo += [file] if (file := file_of(module)) else []
            elif package not in sys.stdlib_module_names | PUT_THERE:
                needed.add(DISTRIBUTIONS.get(package, package.replace("_", "-")))
    return needed


def installed_with(names: list[str]) -> set[str]:
    """Distributions, and all that they need."""
    seen, todo = set(), list(names)
    while todo:
        if (name := re.sub(r"[-_.]+", "-", todo.pop().lower())) in seen:
            continue
        seen.add(name)
        needed = map(Requirement, requires(name) or [])
        todo += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return seen


@pytest.mark.parametrize("environment", sorted(IMPORTED_LATER))
def test_environment_has_what_its_scripts_import(environment):
    scripts = [script for name, script in scripts_of_environments() if name == environment]
    assert scripts
    pinned = yaml.safe_load((REPOSITORY / f"envs/{environment}.yaml").read_text())["dependencies"][-1]["pip"]
    there = installed_with([one.partition("==")[0] for one in pinned])
    needed = IMPORTED_LATER[environment].union(*map(needed_at_once, scripts))
    assert sorted(needed - there) == []


def test_every_script_runs_in_an_environment_that_is_looked_at():
    found = {script: environment for environment, script in scripts_of_environments()}
    assert set(found.values()) == set(IMPORTED_LATER) == {path.stem for path in (REPOSITORY / "envs").glob("*.yaml")}
    assert {path.stem for path in SCRIPTS.glob("*.py")} == found.keys()
