"""Generation with a torch model: a batch of prompts, where a decoding says how each token is chosen.

If a model's attention is plain, keys and values of the batch stand in a cache of our own (`from_cache`), and on a GPU the steps
that add a token are recorded (`recorded_steps`). Other models go through `generate()`, with padding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from loragrid.inference.choice import make_choice
from loragrid.inference.from_cache import Sequenced, attends_from_cache, attention_from_cache, decode_from_cache
from loragrid.inference.protocol import Decoding
from loragrid.inference.recorded_steps import decode_in_steps, recorder_of
from loragrid.inference.row_adapters import RowAdapters
from loragrid.models.sequences import padded_on_the_left


def generate_together(
    model: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    decoding: Decoding,
    ends: Sequence[int],
    pad: int,
    is_stopped: Callable[[list[int]], bool],
    use_cache: bool = True,
    adapters: RowAdapters | None = None,
) -> list[Sequenced]:
    """The tokens that follow each prompt, up to one of `ends` or until `is_stopped`.

    Args:
        seeds: of the random draws of each prompt.
        is_stopped: whether the text of the tokens so far ends an answer.
        use_cache: whether `generate()` may go on from what the model keeps of a text.
        adapters: which adapter each prompt goes through, if several are on the model. Its attention is then plain.
    """
    started = time.perf_counter()
    # A CPU would take longer to draw for a row than a GPU takes for a step.
    drawing = model.device if model.device.type == "cuda" else "cpu"
    draws = [torch.Generator(drawing).manual_seed(seed) for seed in seeds]
    with torch.inference_mode():
        if not attends_from_cache(model):
            assert adapters is None
            return _through_transformers(model, prompts, decoding, ends, pad, draws, is_stopped, started, use_cache)
        with attention_from_cache(model):
            batch = (model, prompts, decoding, set(ends), draws, is_stopped, started)
            if recorder := recorder_of(model):
                return decode_in_steps(*batch, recorder, adapters)
            return decode_from_cache(*batch, adapters)


def _through_transformers(
    model: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    ends: Sequence[int],
    pad: int,
    draws: Sequence[torch.Generator],
    is_stopped: Callable[[list[int]], bool],
    started: float,
    use_cache: bool,
) -> list[Sequenced]:
    """As `generate_together`, by padding on the left and `generate()`."""
    from transformers import GenerationConfig

    choice = make_choice(decoding, ends, draws)
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=decoding.max_new_tokens,
        eos_token_id=sorted(ends),
        pad_token_id=pad,
        use_cache=use_cache,
    )
    _forget_last_text(model)
    # generate() would add what the model's own generation settings say to ours.
    model.generation_config = config
    device = model.device
    input_ids, mask = padded_on_the_left(prompts, pad, device)
    width = input_ids.shape[1]

    def choose(histories: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        padding = torch.nn.functional.pad(mask == 0, (0, histories.shape[1] - width))
        return choice(torch.where(padding, input_ids[:, -1:], histories), logits, histories.shape[1] - width)

    def stopped(histories: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return torch.tensor([is_stopped(row) for row in histories[:, width:].tolist()], device=device)

    output = model.generate(
        input_ids=input_ids,
        attention_mask=mask,
        generation_config=config,
        logits_processor=[choose],
        stopping_criteria=[stopped],
    )
    seconds = time.perf_counter() - started
    return [Sequenced(_until_end(row, set(ends), is_stopped), seconds) for row in output[:, width:].tolist()]


def _forget_last_text(model: Any) -> None:
    """Clear the states that RecurrentGemma keeps in its layers: it would begin a prompt of a single token with them."""
    for module in model.modules():
        if getattr(module, "recurrent_states", None) is not None:
            module.recurrent_states = None
        if getattr(module, "conv1d_state", None) is not None:
            module.conv1d_state = torch.zeros_like(module.conv1d_state)


def _until_end(tokens: list[int], ends: set[int], is_stopped: Callable[[list[int]], bool]) -> list[int]:
    stop = next((i for i, token in enumerate(tokens, 1) if token in ends or is_stopped(tokens[:i])), len(tokens))
    return tokens[:stop]
