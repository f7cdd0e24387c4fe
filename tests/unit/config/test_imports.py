"""What the Snakefile imports is there at once: every command waits for it."""

import ast
import subprocess
import sys

import pytest

from projects import REPOSITORY

HEAVY = [
    "accelerate",
    "altair",
    "datasets",
    "datasketch",
    "evaluate",
    "gguf",
    "httpx",
    "huggingface_hub",
    "krippendorff",
    "numpy",
    "openai",
    "openpyxl",
    "pandas",
    "peft",
    "pyarrow",
    "regex",
    "rouge_score",
    "sacrebleu",
    "safetensors",
    "sentence_transformers",
    "sklearn",
    "tokenizers",
    "torch",
    "tqdm",
    "transformers",
    "vl_convert",
]


@pytest.mark.parametrize("module", ["loragrid.config.load", "loragrid.grid.runs", "loragrid.grid.jobs.settings"])
def test_what_the_snakefile_imports_imports_nothing_heavy(module):
    program = f"import sys, {module}; print(*sys.modules)"
    environment = {"PYTHONPATH": str(REPOSITORY / "workflow/scripts"), "PATH": ""}
    imported = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(HEAVY) & set(imported) == set()


SCRIPTS = sorted((REPOSITORY / "workflow/scripts").glob("*.py"))
NEEDED_AT_ONCE = {
    **{
        name: {"altair", "numpy", "pandas", "pyarrow", "vl_convert"}
        for name in ("analyse", "describe_data", "partial_report", "report")
    },
    "summary": {"numpy", "pandas", "pyarrow"},
    **{name: {"numpy", "pandas", "pyarrow"} for name in ("cut_offs", "export_log", "track")},
    "describe_model": {"huggingface_hub", "httpx", "numpy", "pandas", "pyarrow", "tqdm"},
    "learnt_prompts": {"numpy", "safetensors", "torch", "tqdm"},
    "merge": {"numpy", "safetensors", "torch", "tqdm"},
    "verify": {"numpy", "safetensors", "torch", "tqdm"},
}
"""What a script needs whatever its job is about. All others begin without anything heavy: their work may be done already."""


def imports_of(script):
    tree = ast.parse(script.read_text())
    return [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


def heavy_after(scripts):
    lines = ["import sys", *(line for script in scripts for line in imports_of(script)), "print(*sys.modules)"]
    environment = {"PYTHONPATH": str(REPOSITORY / "workflow/scripts"), "PATH": ""}
    command = [sys.executable, "-c", "\n".join(lines)]
    return set(HEAVY) & set(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split())


def test_a_job_begins_without_heavy_imports():
    assert heavy_after([script for script in SCRIPTS if script.stem not in NEEDED_AT_ONCE]) == set()


@pytest.mark.parametrize("name", sorted(NEEDED_AT_ONCE))
def test_other_jobs_begin_with_what_they_need_and_no_more(name):
    assert heavy_after([script for script in SCRIPTS if script.stem == name]) <= NEEDED_AT_ONCE[name]
