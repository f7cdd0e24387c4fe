"""The engine `vllm` in the whole workflow, on the real model: `make test-vllm` makes its environment."""

import json
import shutil
from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[2] / ".venv-vllm" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="make test-vllm installs vLLM in .venv-vllm")


def test_base_model_and_adapter_answer_and_agree_with_hf(real_project):
    def through_vllm(config):
        config["models"]["smollm2-135m"] |= {
            "dtype": "float32",
            "context_length": 1024,
            "engine": {"type": "vllm", "python": str(PYTHON), "settings": {"enforce_eager": True, "max_num_seqs": 8}},
        }
        config["grid"][0] |= {"tasks": ["outcome"], "sample_types": ["manual"], "nb_samples": [4]}
        config["tasks"]["outcome"] |= {"subset": 3, "scorers": ["rouge"], "baselines": []}

    real_project.edit_config(through_vllm)
    real_project.snakemake("--cores", "1")
    checks = [json.loads(file.read_text())["checks"] for file in real_project.files("checks/*/*.json")]
    assert [check["same text as hf"]["passed"] for check in checks] == [True, True]
    for file in real_project.files("predictions/*/*/*/*.jsonl"):
        rows = [json.loads(line) for line in file.open()]
        assert [row["engine"] for row in rows] == ["vllm"] * 3
        # The base model and the adapter are asked by one process, at the same time.
        assert {row["batch_size"] for row in rows} <= set(range(1, 7))

    real_project.edit_config(lambda config: config["models"]["smollm2-135m"].update(engine={"type": "hf"}))
    ours = {
        file.name: [json.loads(line)["prediction"] for line in file.open()]
        for file in real_project.files("predictions/*/*/*/*.jsonl")
    }
    shutil.rmtree(real_project.folder / "results/predictions")
    real_project.snakemake("predictions")
    for file in real_project.files("predictions/*/*/*/*.jsonl"):
        assert [json.loads(line)["prediction"] for line in file.open()] == ours[file.name]
