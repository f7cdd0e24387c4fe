import csv
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from loragrid.errors import DamagedError, UserError
from loragrid.models.learnt_prompts import nearest_tokens, write_nearest
from loragrid.runtime.model_folders import archive_others

ADAPTER = "results/adapters/t/s/tiny/t__s__m__n4__soft__completion__seed1/adapter_model.safetensors"


def test_nearest_token_is_that_with_the_largest_cosine_whatever_its_length():
    embeddings = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 0.1], [1.0, 1.0]])
    found = nearest_tokens(torch.tensor([[0.5, 0.0], [-1.0, 5.0]]), embeddings, k=2)
    assert [(near.position, near.rank, near.token_id) for near in found] == [(0, 0, 1), (0, 1, 3), (1, 0, 2), (1, 1, 3)]
    assert [near.cosine for near in found[:2]] == pytest.approx([1, 0.5**0.5])
    # Tokens are on average (0 + 3 + 0.1 + sqrt 2) / 4 long.
    assert found[0].norm_ratio == pytest.approx(0.5 / ((3.1 + 2**0.5) / 4))


@pytest.fixture
def learnt(tmp_path, monkeypatch, tiny_model):
    """A prompt in the tiny model's project that is the embeddings of two tokens, the second twice as long and turned a little."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, "results/models/tiny")
    embeddings = load_file("results/models/tiny/model.safetensors")["model.embed_tokens.weight"].float()
    prompt = torch.stack([embeddings[500], 2 * embeddings[7000] + 0.01 * embeddings[500]])
    (tmp_path / ADAPTER).parent.mkdir(parents=True)
    save_file({"prompt_embeddings": prompt}, ADAPTER)


def test_table_names_the_tokens_that_a_prompt_was_made_of(learnt, tokenizer, tmp_path):
    assert write_nearest("table.csv", [ADAPTER], tmp_path / "results/models", k=3) == 1
    with open("table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3
    first = [row for row in rows if row["rank"] == "1"]
    assert [row["token_id"] for row in first] == ["500", "7000"]
    assert [row["token"] for row in first] == [f'"{tokenizer.decode([token])}"' for token in (500, 7000)]
    assert first[0]["cosine"] == "1.000000"
    assert first[0]["run"] == "t__s__m__n4__soft__completion__seed1"


def test_base_model_whose_other_files_are_in_an_archive_is_read_all_the_same(learnt, tmp_path):
    folder = tmp_path / "results/models/tiny"
    write_nearest("before.csv", [ADAPTER], tmp_path / "results/models", k=3)
    archive_others(folder, ["model.safetensors"])
    for path in folder.iterdir():
        if path.name not in ("model.safetensors", "other_files.tar"):
            path.unlink()
    write_nearest("after.csv", [ADAPTER], tmp_path / "results/models", k=3)
    assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()


def test_prompt_of_another_model_and_a_damaged_file_are_named(learnt, tmp_path):
    save_file({"prompt_embeddings": torch.ones(2, 3)}, ADAPTER)
    with pytest.raises(UserError, match="this learnt prompt has 3 numbers for each place"):
        write_nearest("table.csv", [ADAPTER], tmp_path / "results/models", k=3)
    (tmp_path / ADAPTER).write_bytes(b"no weights")
    with pytest.raises(DamagedError, match=f"^{ADAPTER}: it holds no weights 'prompt_embeddings' that can be read"):
        write_nearest("table.csv", [ADAPTER], tmp_path / "results/models", k=3)
