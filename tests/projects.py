"""A copy of the workflow with a tiny experiment in it, and ways to run it and to read what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from forked import Run

REPOSITORY = Path(__file__).parents[1]
WORDS = ["apple", "river", "stone", "cloud", "tiger", "music", "paper", "light", "green", "seven", "ocean", "bread"]


class Project:
    """A folder with the workflow, run as a user runs it."""

    def __init__(self, folder: Path, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.arguments = arguments
        """Of every run: a profile, for example."""
        self.environment = environment or {}

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake with two cores; on failure show what it said."""
        result = self.started(*arguments).result()
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def started(self, *arguments: str) -> Run:
        """Start Snakemake in the background; neither it nor its jobs import the large packages anew."""
        return Run(self._arguments(arguments), self.folder, self._environment())

    def snakemake_in_new_processes(self, *arguments: str) -> None:
        """Run Snakemake as a user does: it and all its jobs are processes that begin with nothing."""
        command = [sys.executable, "-m", "snakemake", *self._arguments(arguments)]
        subprocess.run(command, cwd=self.folder, env=self._environment(), check=True)

    def _arguments(self, arguments: Sequence[str]) -> list[str]:
        return ["--cores", "2", *self.arguments, *arguments]

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
        return inherited | self.environment

    def planned(self, *arguments: str) -> dict[str, int]:
        """How many jobs of each rule a dry run lists, the target rule left out."""
        result = self.snakemake("-n", *arguments)
        counts = re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.MULTILINE)
        return {rule: int(count) for rule, count in counts if rule not in ("total", "all")}

    def edit_config(self, change: Callable[[dict], None]) -> None:
        path = self.folder / "config" / "config.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Undo what happens in the block: the project comes back as it was, with its time stamps, and is run as before."""
        backup, arguments, environment = self.folder.parent / "backup", self.arguments, self.environment
        shutil.copytree(self.folder, backup, symlinks=True)
        try:
            yield
        finally:
            shutil.rmtree(self.folder)
            backup.rename(self.folder)
            self.arguments, self.environment = arguments, environment

    def files(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(f"results/{pattern}"))


def copy_workflow(folder: Path) -> Project:
    for name in ("Snakefile", "workflow", "profiles", "envs", "config", "data"):
        source = REPOSITORY / name
        if source.is_dir():
            # With what is compiled, so that no project compiles it again; not with what is being compiled.
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy2(source, folder / name)
    for study in (folder / "config/experiments").iterdir():
        # `prunable` reads all experiments of a project, and studies have thousands of jobs.
        if study.stem != "published_generics":
            study.unlink()
    for profile in ("slurm", "workstation"):
        (folder / profile).symlink_to(f"profiles/{profile}")
    return Project(folder)


def tiny_experiment(model: Path) -> dict:
    """Two tasks on local data, a random model, two sizes: 4 runs."""
    files = {split: {"path": f"data/{split}.jsonl"} for split in ("train", "validation", "test")}
    task = {
        "source": "words",
        "input": "{{ word }}",
        "metadata": {"initial": "{{ word[0] }}"},
        "sample_types": {"gold": {"output": "{{ word | upper }}"}},
        "scorers": ["rouge", "exact_match"],
        "baselines": [],
        "max_new_tokens": 6,
        "subset": 4,
    }
    return {
        "models": {"tiny": {"source": {"path": str(model)}, "dtype": "float32"}},
        "sources": {"words": {"splits": files}},
        "tasks": {"shout": task | {"instruction": "Say it loudly."}, "echo": task | {"instruction": "Say it again."}},
        "mixes": {"target_only": {"recipe": "target_only", "nb_validation": 3}},
        "configs": {"lora": {"rank": 4, "learning_rate": 0.02, "batch_size": 4, "epochs": 2}},
        "scorers": {"rouge": {"type": "rouge"}, "exact_match": {"type": "exact_match"}},
        "grid": [
            {
                "base_models": ["tiny"],
                "tasks": ["shout", "echo"],
                "sample_types": ["gold"],
                "mixes": ["target_only"],
                "nb_samples": [4, 8],
                "configs": ["lora"],
            }
        ],
        "checks": {"max_new_tokens": 4},
    }


def external_experiment(scorers: dict, predictions: dict[str, dict]) -> dict:
    """One task on local test examples, no model: answers from elsewhere, which the scorers score."""
    return {
        "sources": {"words": {"splits": {"test": {"path": "data/test.jsonl"}}}},
        "tasks": {
            "shout": {
                "source": "words",
                "instruction": "Say it loudly.",
                "input": "{{ word }}",
                "sample_types": {"gold": {"output": "{{ word | upper }}"}},
                "scorers": list(scorers),
                "baselines": [],
            }
        },
        "scorers": scorers,
        "external_predictions": {
            name: one | {"files": [one["files"][0] | {"task": "shout", "sample_type": "gold"}]}
            for name, one in predictions.items()
        },
    }


def make_tiny_model(folder: Path, tokenizer: Any) -> Path:
    """Fill a folder with a random two-layer Llama and a tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    config = LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=512, eos_token_id=2, pad_token_id=2, initializer_range=0.2, **shape
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tiny_project(folder: Path, model: Path) -> Project:
    folder.mkdir()
    project = copy_workflow(folder)
    for offset, split in enumerate(("train", "validation", "test")):
        rows = [{"word": f"{a} {b}"} for i, a in enumerate(WORDS) for b in WORDS[i + 1 + offset :: 3]]
        (folder / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(tiny_experiment(model), sort_keys=False))
    return project
