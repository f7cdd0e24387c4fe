"""Nothing in the workflow knows where its jobs run, but that they share a folder."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MAY_NAME_SLURM = {"workflow/scripts/loragrid/devices.py"}
"""Says in words who hands out GPUs."""
STORAGE = """
from snakemake_interface_storage_plugins.storage_object import StorageObjectRead, StorageObjectWrite
from snakemake_interface_storage_plugins.storage_provider import StorageProviderBase, StorageQueryValidationResult


class StorageProvider(StorageProviderBase):
    example_queries = default_max_requests_per_second = rate_limiter_key = use_rate_limiter = list_objects = None

    @classmethod
    def is_valid_query(cls, query):
        return StorageQueryValidationResult(query, True)


class StorageObject(StorageObjectRead, StorageObjectWrite):
    inventory = get_inventory_parent = local_suffix = cleanup = exists = mtime = size = None
    retrieve_object = store_object = remove = None
"""


def test_only_profiles_docs_and_packages_know_of_slurm():
    folders = [REPOSITORY / name for name in ("workflow", "config", "data")]
    files = [REPOSITORY / "Snakefile", *(file for folder in folders for file in folder.rglob("*") if file.is_file())]
    texts = {str(file.relative_to(REPOSITORY)): file.read_bytes() for file in files if file.suffix != ".pyc"}
    found = {name for name, text in texts.items() if re.search(rb"slurm|sbatch|squeue|scancel", text, re.IGNORECASE)}
    assert found <= MAY_NAME_SLURM


def test_storage_that_would_lose_files_is_refused_in_a_sentence(new_project):
    # Snakemake finds plugins by their names, also in the folder that it runs in.
    plugin = new_project.folder / "snakemake_storage_plugin_bucket"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(STORAGE)
    storage = ("--default-storage-provider", "bucket", "--default-storage-prefix", "bucket://somewhere")
    result = new_project.snakemake("-n", *storage, check=False)
    assert result.returncode == 1
    assert (
        "results/ must be a folder that all jobs share: leave out --default-storage-provider bucket"
        in result.stdout + result.stderr
    )
