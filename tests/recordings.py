"""What stands in for CUDA graphs on a CPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

HOST_LOOKS = {"_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "unique", "_unique2", "equal", "lift_fresh"}
"""Operators that make the host wait for numbers of the device, or that bring numbers of the host to it."""


class _Tape(TorchDispatchMode):
    """Notes each operator with the tensors that it got and gave."""

    def __init__(self):
        super().__init__()
        self.calls, self.before = [], {}

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = operator.overloadpacket.__name__
        if name in HOST_LOOKS or (name == "index_put_" and any(i is not None and i.dtype == torch.bool for i in args[1])):
            raise RuntimeError(f"operation not permitted when stream is capturing: {operator}")
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        for tensor in given if operator._schema.is_mutable else ():
            storage = tensor.untyped_storage()
            self.before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        results = operator(*args, **kwargs)
        mine = {tensor.untyped_storage().data_ptr() for tensor in given}
        # Views of what was there show what is written there.
        gained = [t for t in tree_leaves(results) if isinstance(t, torch.Tensor) and t.untyped_storage().data_ptr() not in mine]
        if gained or operator._schema.is_mutable:
            self.calls.append((operator, args, kwargs, results, bool(gained)))
        return results

    def replay(self):
        for operator, args, kwargs, results, gains in self.calls:
            again = operator(*args, **kwargs)
            for old, new in zip(tree_leaves(results), tree_leaves(again), strict=True) if gains else ():
                if isinstance(old, torch.Tensor):
                    assert old.shape == new.shape
                    old.copy_(new)


def record_on_cpu(step):
    """Take a step, and give what repeats it as a CUDA graph does.

    The same operators read and write the same memory; no Python runs again. As with a graph, recording changes no numbers, and
    the host may not look at any.
    """
    step()
    tape = _Tape()
    with tape:
        step()
    for storage, before in tape.before.values():
        storage.copy_(before)
    return tape.replay
