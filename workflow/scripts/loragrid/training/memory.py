"""What to say where the memory of the device runs out in a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loragrid.errors import UserError
from loragrid.models.device import is_out_of_memory, memory_of

if TYPE_CHECKING:
    import torch

    from loragrid.training.method import Training


@contextmanager
def lack_of_memory_told(config: Training, max_tokens: int, device: torch.device) -> Iterator[None]:
    """Where memory runs out, say so in one sentence, with the keys that lower the need.

    Args:
        max_tokens: of a forward pass.

    Raises:
        UserError: in the place of the error of torch.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(f"memory runs out on {memory_of(device)}: {'; or '.join(_means(config, max_tokens))}.") from error


def _means(config: Training, max_tokens: int) -> list[str]:
    """What lowers the need of memory, the cheapest means first."""
    means = [f"lower micro_batch_tokens (now {max_tokens}), and max_length (now {config.max_length}) if it is higher"]
    if not config.gradient_checkpointing:
        means.append("set gradient_checkpointing: true")
    if config.base_quantization == "none" and not config.makes_whole_model:
        means.append("set quantization: 4bit")
    if config.makes_whole_model:
        means.append("train an adapter (method: lora) instead of all weights")
    return means
