"""How likely a model in this process finds given texts as answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from loragrid.errors import UserError
from loragrid.inference.choice import NO_NUMBERS
from loragrid.inference.protocol import GivenText, MeasureFunction
from loragrid.models.device import free_cached_memory, is_out_of_memory
from loragrid.models.loading import padding_id, refuse_ids_without_embedding
from loragrid.models.rope import stretches_of
from loragrid.models.sequences import padded
from loragrid.runtime.job import log

if TYPE_CHECKING:
    from loragrid.data.render import Renderer

BATCH_TOKENS = 16384
"""Tokens of a batch on a device that needs large ones, with padding. A CPU reads one text at a time, without padding."""

_CHUNK = 2**24
"""Logits that are looked at at once."""

_DIGITS = 7
"""Decimal places of a logarithm. float32 knows no more."""


def measure_with(model: Any, renderer: Renderer, longest: int, batch_tokens: int | None) -> MeasureFunction:
    """The function that measures with a loaded model.

    Prompt and text are read in one forward pass. Logits are computed for the tokens of the text and for no others. On a CPU each
    text is read by itself, so that nothing beside it changes a digit. Elsewhere texts of similar length share a batch; if memory
    runs out, batches have half as many tokens from then on.

    Args:
        longest: the most tokens that the model can read.
        batch_tokens: tokens of a batch, padding included; None: as many as suit the device.
    """
    most = 1 if model.device.type == "cpu" else min(batch_tokens or BATCH_TOKENS, BATCH_TOKENS)
    return lambda texts, measured: _measure(model, renderer, texts, longest, most, measured)


def _measure(
    model: Any, renderer: Renderer, texts: Sequence[GivenText], longest: int, batch_tokens: int, measured: Collection[int]
) -> Iterator[dict[int, list[float]]]:
    sequences = [[*text.prompt.prompt_ids, *text.token_ids] for text in texts]
    refuse_ids_without_embedding(model, renderer.tokenizer, sequences)
    left = [i for i in range(len(texts)) if i not in measured]
    while left:
        try:
            for indices, ids, mask in _batches(model, [sequences[i] for i in left], longest, batch_tokens):
                # A batch may be filled up with its first sequence.
                batch = [left[i] for i in dict.fromkeys(indices)]
                found = _of_batch(model, ids, mask, [texts[i] for i in batch])
                yield dict(zip(batch, found, strict=True))
                measured = {*measured, *batch}
            return
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if batch_tokens <= max(len(sequences[i]) for i in left):
                raise UserError(f"memory runs out at one text of {max(len(sequences[i]) for i in left)} tokens.") from None
        # The memory of the attempt is free only here, behind the error.
        free_cached_memory()
        batch_tokens //= 2
        log.info("memory runs out; going on with %d tokens at a time", batch_tokens)
        left = [i for i in left if i not in measured]


def _batches(
    model: Any, sequences: Sequence[Sequence[int]], longest: int, batch_tokens: int
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Indices of sequences, their ids and the attention mask: padded on the right, so that a token sees none of the padding."""
    if model.device.type == "cpu":
        for i in sorted(range(len(sequences)), key=lambda i: -len(sequences[i])):
            ids = torch.tensor([sequences[i]])
            yield [i], ids, torch.ones_like(ids)
        return
    yield from padded(sequences, padding_id(model, 0), batch_tokens, longest, stretches_of(model))


@torch.inference_mode()
def _of_batch(model: Any, ids: torch.Tensor, mask: torch.Tensor, texts: Sequence[GivenText]) -> list[list[float]]:
    """The logarithms of the probabilities of the texts' tokens. Each text is behind its prompt, in a row of its own."""
    starts = [len(text.prompt.prompt_ids) for text in texts]
    lengths = [len(text.token_ids) for text in texts]
    width = ids.shape[1]
    # A token is predicted at the place before it.
    predicting = [row * width + start - 1 + i for row, start in enumerate(starts) for i in range(lengths[row])]
    targets = torch.tensor([token for text in texts for token in text.token_ids], device=model.device)
    with _logits_only_at(model, torch.tensor(predicting, device=model.device), width):
        inputs = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
        logits = model(**inputs, use_cache=False).logits.squeeze(0)
    return [of_text.tolist() for of_text in torch.split(_log_probabilities(logits, targets), lengths)]


@contextmanager
def _logits_only_at(model: Any, places: torch.Tensor, width: int) -> Iterator[None]:
    """Have the output layer see only some places of a batch: its logits then have the shape (1, places, vocabulary).

    Args:
        places: indices into the rows of the batch, one row after the other.
        width: tokens of a row.
    """

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        # Virtual tokens of a learnt prompt may stand in front.
        states = inputs[0][:, -width:].flatten(0, 1)
        return (states.index_select(0, places).unsqueeze(0),)

    language_model = getattr(model, "get_base_model", lambda: model)()
    handle = language_model.get_output_embeddings().register_forward_pre_hook(keep)
    try:
        yield
    finally:
        handle.remove()


def _log_probabilities(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The logarithm of the probability of each target, float64 on the CPU.

    Sums over a large vocabulary lose digits in float32.

    Args:
        logits: shape (targets, vocabulary), of any floating type.
        targets: shape (targets,).

    Raises:
        UserError: if the logits are no numbers.
    """
    rows = max(1, _CHUNK // logits.shape[-1])
    found = []
    for part, index in zip(torch.split(logits, rows), torch.split(targets, rows), strict=True):
        # Apple's GPUs have no float64.
        wide = (part.cpu() if part.device.type == "mps" else part).double()
        found.append((wide.gather(1, index.to(wide.device)[:, None])[:, 0] - wide.logsumexp(1)).cpu())
    values = torch.cat(found)
    if not values.isfinite().all():
        raise UserError(NO_NUMBERS)
    # Minus zero would be another text in a file.
    return values.round(decimals=_DIGITS) + 0.0
