"""The encoding of positions of the type `dynamic` in transformers 5.23, mended: it remembers the longest sequence so far.

Its frequencies grow with a long sequence. A shorter one behind it is encoded with the frequencies of the longer one: a result
depends on what was computed before. We know of no issue in transformers. Here each forward pass begins with the frequencies that
the model was loaded with. A test fails as soon as transformers forgets by itself. The patch then can go.
"""

from __future__ import annotations

from typing import Any

_ORIGINAL = "original_inv_freq"
"""End of the names of the frequencies that a model was loaded with. Some models have several, by the kind of layer."""


def forget_longest_sequence(model: Any) -> None:
    """Have the encoding of positions of a model begin anew with each forward pass, if its type is `dynamic`."""
    for module in model.modules():
        if "dynamic" in str(getattr(module, "rope_type", "")) and hasattr(module, "original_max_seq_len"):
            module.register_forward_pre_hook(_forget)


def _forget(module: Any, inputs: Any) -> None:
    for name, frequencies in list(module.named_buffers(recurse=False)):
        if name.endswith(_ORIGINAL):
            kind = name.removesuffix(_ORIGINAL)
            module.register_buffer(f"{kind}inv_freq", frequencies, persistent=False)
            setattr(module, f"{kind}max_seq_len_cached", module.original_max_seq_len)
