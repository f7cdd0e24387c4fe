"""DeepSpeed's AdamW for CPUs, mended where it goes on from a saved state.

It multiplies the powers of its betas step by step. After a state is loaded, it computes them by `pow` instead, which differs in
the last bit. So a training that goes on gave other bytes than one that never stopped. We know of no issue about it. The patch
can go when `tests/faults` passes without it.
"""

from __future__ import annotations

from typing import Any


def repeat_powers(optimizer: Any) -> None:
    """Have the optimiser multiply its powers as often as it has taken steps. Other optimisers are left as they are.

    Args:
        optimizer: perhaps inside others, with its state loaded.
    """
    import torch

    while optimizer is not None and not hasattr(optimizer, "ds_opt_adam"):
        optimizer = getattr(optimizer, "optimizer", None)
    if optimizer is None:
        return
    group, steps = optimizer.param_groups[0], [int(state.get("step", 0)) for state in optimizer.state.values()]
    decisive = (0.0, *group["betas"], group["eps"], 0.0, group["bias_correction"])
    for step in range(1, max(steps, default=0) + 1):
        # A step of something else, which is thrown away.
        optimizer.ds_opt_adam.adam_update(optimizer.opt_id, step, *decisive, *(torch.zeros(1) for _ in range(4)))
