"""What the Snakefile imports is there at once: every command waits for it."""

import subprocess
import sys

import pytest

from projects import REPOSITORY

HEAVY = [
    "accelerate",
    "datasets",
    "datasketch",
    "evaluate",
    "gguf",
    "httpx",
    "huggingface_hub",
    "krippendorff",
    "matplotlib",
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
]


@pytest.mark.parametrize("module", ["loragrid.config.load", "loragrid.grid.runs", "loragrid.grid.jobs.settings"])
def test_what_the_snakefile_imports_imports_nothing_heavy(module):
    program = f"import sys, {module}; print(*sys.modules)"
    environment = {"PYTHONPATH": str(REPOSITORY / "workflow/scripts"), "PATH": ""}
    imported = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(HEAVY) & set(imported) == set()
