"""What learnt prompts are near to: the tokens whose embeddings have the largest cosine with each learnt embedding."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from loragrid.errors import DamagedError, UserError
from loragrid.layout import trained_model
from loragrid.models.weights import refuse_lfs_pointers
from loragrid.runtime.files import written_whole
from loragrid.runtime.model_folders import whole_folder
from loragrid.runtime.pretrained import load_config, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COLUMNS = ["base_model", "task", "sample_type", "run", "position", "rank", "token_id", "token", "cosine", "norm_ratio"]
"""The columns of the table. `norm_ratio` is the length of the learnt embedding as a share of the mean length of a token's."""

PROMPT = "prompt_embeddings"
"""The name under which peft saves a learnt prompt."""


class Near(NamedTuple):
    """A token near to a place of a learnt prompt."""

    position: int
    rank: int
    token_id: int
    cosine: float
    norm_ratio: float


def nearest_tokens(prompt: torch.Tensor, embeddings: torch.Tensor, k: int) -> list[Near]:
    """The k nearest tokens of each place of a learnt prompt, the nearest first. Of equally near ones, the lower id comes first.

    Args:
        prompt: float, shape (places, size).
        embeddings: of the vocabulary, float, shape (tokens, size).
    """
    prompt, embeddings = prompt.float(), embeddings.float()
    norms = embeddings.norm(dim=1)
    # Tokens that no text has may have embeddings of length 0.
    cosines = (prompt @ embeddings.T) / (prompt.norm(dim=1)[:, None] * norms).clamp_min(1e-12)
    ratios = (prompt.norm(dim=1) / norms.mean()).tolist()
    values, ids = cosines.sort(dim=1, descending=True, stable=True)
    return [
        Near(position, rank, int(ids[position, rank]), float(values[position, rank]), ratios[position])
        for position in range(len(prompt))
        for rank in range(min(k, len(embeddings)))
    ]


def write_nearest(path: str | Path, adapters: Iterable[str | Path], models: Path, k: int) -> int:
    """Write the table of the nearest tokens of learnt prompts. Returns the number of prompts.

    Args:
        adapters: the weights of the adapters, in their places below `results`.
        models: folder of the base models.
    """
    by_model: dict[str, list[Path]] = {}
    for file in map(Path, adapters):
        by_model.setdefault(trained_model(file)["base_model"], []).append(file)
    with written_whole(path) as temporary, Path(temporary).open("w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(COLUMNS)
        for name, files in by_model.items():
            tokenizer, embeddings = _vocabulary(whole_folder(models / name / "model.safetensors"))
            for adapter in files:
                rows.writerows(_rows(adapter, tokenizer, embeddings, k))
    return sum(map(len, by_model.values()))


def _rows(adapter: Path, tokenizer: PreTrainedTokenizerBase, embeddings: torch.Tensor, k: int) -> Iterator[tuple[Any, ...]]:
    prompt = _read(adapter, PROMPT)
    if prompt.shape[1] != embeddings.shape[1]:
        sizes = f"{prompt.shape[1]} numbers for each place, and tokens of its base model {embeddings.shape[1]}"
        raise UserError(f"{adapter}: this learnt prompt has {sizes}; it was learnt for another model.")
    trained = trained_model(adapter)
    places = (trained["base_model"], trained["task"], trained["sample_type"], trained["run"])
    for near in nearest_tokens(prompt, embeddings, k):
        # In quotes, so that spaces can be seen.
        token = json.dumps(tokenizer.decode([near.token_id]), ensure_ascii=False)
        yield (*places, near.position, near.rank + 1, near.token_id, token, f"{near.cosine:.6f}", f"{near.norm_ratio:.4f}")


def _vocabulary(folder: Path) -> tuple[PreTrainedTokenizerBase, torch.Tensor]:
    """A base model's tokenizer, and the embeddings of its tokens, without the rest of its weights."""
    from transformers import AutoModelForCausalLM

    config = load_config(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    wanted = model.get_input_embeddings().weight
    [name, *_] = [name for name, weight in model.named_parameters(remove_duplicate=False) if weight is wanted]
    return load_tokenizer(folder), _read(folder / "model.safetensors", name)


def _read(file: Path, name: str) -> torch.Tensor:
    """One tensor of a file of weights.

    Raises:
        DamagedError: naming the file, if it cannot be read or lacks the tensor.
    """
    from safetensors import SafetensorError, safe_open

    refuse_lfs_pointers(file)
    try:
        with safe_open(file, framework="pt") as weights:
            tensor: torch.Tensor = weights.get_tensor(name)
            return tensor
    except (SafetensorError, OSError) as error:
        raise DamagedError(file, f"it holds no weights '{name}' that can be read ({error})") from None
