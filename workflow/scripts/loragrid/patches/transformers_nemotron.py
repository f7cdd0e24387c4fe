"""Layers of Nemotron models in transformers 5.23, mended: they drop keyword arguments that are meant for their attention.

The layers of all other model types in `COMPARED` (models/packed_attention.py) hand them on. No issue of transformers is known.
A test fails when its own layers hand them on: then this can go. Until it does, it changes nothing there.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def hand_on_arguments(model: Any) -> None:
    """Have the layers of a model hand on to their attention what they do not know themselves. Only those of Nemotron need it."""
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
