"""Layers of Nemotron models in transformers 5.23, mended: they drop keyword arguments that are meant for their attention.

The layers of all other model types in `COMPARED` (models/packed_attention.py) hand them on. We know of no issue in transformers.
A test fails as soon as the layers of transformers hand them on by themselves. The patch then changes nothing, and can go.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def hand_on_arguments(model: Any) -> None:
    """Have the layers of a model hand keyword arguments that they do not know on to their attention. Only Nemotron needs it."""
    if model.config.model_type == "nemotron":
        mended = _mended_layer()
        for module in model.modules():
            if type(module) is mended.__base__:
                module.__class__ = mended


@cache
def _mended_layer() -> type[Any]:
    from transformers.models.nemotron import modeling_nemotron

    # Libraries that spread a model over devices know its layers by this name.
    class NemotronDecoderLayer(modeling_nemotron.NemotronDecoderLayer):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            def add(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
                return positional, kwargs | named

            adding = self.self_attn.register_forward_pre_hook(add, with_kwargs=True)
            try:
                return super().forward(*args, **kwargs)
            finally:
                adding.remove()

    return NemotronDecoderLayer
