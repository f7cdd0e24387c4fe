"""Nothing in the workflow knows where its jobs run."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MAY_NAME_SLURM = {"workflow/scripts/loragrid/runtime/gpu_leases.py", "workflow/scripts/loragrid/planning/pruning/sorting.py"}
"""Say in words who hands out GPUs, and where old logs may lie."""


def test_only_profiles_docs_and_packages_know_of_slurm():
    folders = [REPOSITORY / name for name in ("workflow", "config", "data")]
    files = [REPOSITORY / "Snakefile", *(file for folder in folders for file in folder.rglob("*") if file.is_file())]
    texts = {str(file.relative_to(REPOSITORY)): file.read_bytes() for file in files if file.suffix != ".pyc"}
    found = {name for name, text in texts.items() if re.search(rb"slurm|sbatch|squeue|scancel", text, re.IGNORECASE)}
    assert found <= MAY_NAME_SLURM
