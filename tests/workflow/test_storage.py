"""Results in a storage: jobs that see only copies of the files that their rules name make the same as those in a shared folder."""

import json
import shutil
from pathlib import Path

import pytest

from loragrid.runtime.model_folders import OTHER_FILES

RUN = "echo__gold__target_only__n4__lora__completion__seed1"
ADAPTER = f"results/adapters/echo/gold/tiny/{RUN}"
PREDICTIONS = f"results/predictions/echo/gold/tiny/{RUN}"


class Storage:
    """A folder in place of a bucket, and a project whose results are in there."""

    def __init__(self, project, folder):
        self.project, self.folder = project, folder
        self.arguments = ("--default-storage-provider", "bucket", "--default-storage-prefix", f"bucket://{folder}")

    def snakemake_elsewhere(self, *targets, **options):
        """Run Snakemake as on a machine that has none of the results yet."""
        for leftover in (".snakemake", "results"):
            shutil.rmtree(self.project.folder / leftover, ignore_errors=True)
        return self.project.snakemake(*self.arguments, *targets, **options)


@pytest.fixture
def storage(new_project, tmp_path) -> Storage:
    # Snakemake looks for plugins also in the folder that it runs in.
    plugin = new_project.folder / "snakemake_storage_plugin_bucket"
    plugin.mkdir()
    shutil.copy2(Path(__file__).with_name("folder_storage.py"), plugin / "__init__.py")
    return Storage(new_project, tmp_path / "bucket")


def without_times(path):
    rows = map(json.loads, path.read_text().splitlines())
    return [{key: value for key, value in row.items() if not key.endswith("_s")} for row in rows]


def test_each_stage_on_another_machine_gives_the_same_as_one_shared_folder(storage, finished):
    storage.snakemake_elsewhere("results/models/tiny/model.safetensors", "results/datasets/echo/gold/leaks.json")
    storage.snakemake_elsewhere(f"{ADAPTER}/adapter_model.safetensors")
    storage.snakemake_elsewhere(f"{PREDICTIONS}.jsonl")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (storage.folder / ADAPTER / name).read_bytes() == (finished.folder / ADAPTER / name).read_bytes()
    manifests = [json.loads((one.folder / ADAPTER / "manifest.json").read_text()) for one in (storage, finished)]
    for key in ("fingerprints", "tokenizer"):
        assert manifests[0][key] == manifests[1][key]
    assert without_times(storage.folder / f"{PREDICTIONS}.jsonl") == without_times(finished.folder / f"{PREDICTIONS}.jsonl")
    result = storage.snakemake_elsewhere(f"{PREDICTIONS}.jsonl", "-n")
    assert "Nothing to be done" in result.stdout + result.stderr
    # Nothing of the results is in the project's own folder, and nothing there is of use only under a storage.
    assert not (storage.project.folder / "results" / "models").exists()
    assert not (finished.folder / "results" / "models" / "tiny" / OTHER_FILES).exists()


def test_data_and_models_that_the_user_names_need_not_be_in_the_storage(storage):
    storage.snakemake_elsewhere("results/datasets/echo/gold/train.jsonl")
    assert {path.name for path in storage.folder.iterdir()} == {"results"}


@pytest.mark.parametrize("target", ["partial_report", "summary"])
def test_report_on_an_unfinished_grid_asks_for_a_copy_of_the_results(storage, target):
    result = storage.snakemake_elsewhere(target, check=False)
    assert result.returncode != 0
    assert "copy the results of the storage there, logs included, and leave out --default-storage-provider" in result.stderr
