"""A prototype of faster generation: a store of keys and values of fixed size, and decoding steps as one CUDA graph."""

import contextlib
from collections.abc import Iterator, Sequence
from itertools import accumulate
from time import perf_counter
from typing import Any, NamedTuple

import prototypes
import torch
from prototypes import varlen

STORE = "prototype_store"
ROW_TOKENS = 16384


class Answers(NamedTuple):
    """What the prototype gave."""

    tokens: list[list[int]]
    read_s: float
    """Reading the prompts."""
    capture_s: float
    """Making the graph."""
    decode_s: float


class _Store:
    """Keys and values, shape (rows, capacity, heads, size) in each layer, and what the next pass does with them."""

    def __init__(self, rows: int, capacity: int, device: torch.device, by_flash: bool) -> None:
        self.rows, self.capacity, self.by_flash = rows, capacity, by_flash and device.type == "cuda"
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.every = torch.arange(rows, device=device)
        self.of_row = torch.empty(0, dtype=torch.long, device=device)
        """Of each token of the prompts that are read: its row and its position; empty in decoding."""
        self.position = self.of_row
        self.bounds_q = torch.arange(rows + 1, dtype=torch.int32, device=device)
        self.bounds_k = self.bounds_q * capacity
        self.used = torch.zeros(rows, dtype=torch.int32, device=device)
        self.seen = torch.empty(0)

    def of_layer(self, layer: int, key: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if layer not in self.layers:
            shape = (self.rows, self.capacity, key.shape[1], key.shape[3])
            self.layers[layer] = key.new_zeros(shape), key.new_zeros(shape)
        return self.layers[layer]

    def look_back(self) -> None:
        """What the next tokens may see."""
        self.used.copy_(self.lengths + 1)
        if not self.by_flash:
            positions = torch.arange(self.capacity, device=self.lengths.device)
            self.seen = (positions <= self.lengths[:, None])[:, None, None]


_store: list[_Store] = []


def attend_store(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: prompts in a row, or one token of each sequence."""
    store = _store[-1]
    keys, values = store.of_layer(int(module.layer_idx), key)
    scale = scaling or query.shape[-1] ** -0.5
    if len(store.of_row):
        q, k, v = (t[0].transpose(0, 1) for t in (query, key, value))
        keys[store.of_row, store.position], values[store.of_row, store.position] = k, v
        if q.is_cuda and q.dtype == torch.float32:
            return prototypes._apart(q, k, v, prototypes._Rows.bounds, scale)[None], None
        return varlen(q, k, v, scale)[None], None
    keys[store.every, store.lengths], values[store.every, store.lengths] = key[:, :, 0], value[:, :, 0]
    if store.by_flash:
        flat = [t.view(-1, *t.shape[2:]) for t in (keys, values)]
        out = torch.ops.aten._flash_attention_forward(
            query[:, :, 0], *flat, store.bounds_q, store.bounds_k, 1, store.capacity, 0.0, False, False,
            scale=scale, seqused_k=store.used,
        )[0]  # fmt: skip
        return out[:, None], None
    grouped = query.reshape(store.rows, key.shape[1], -1, query.shape[3])
    attend = torch.nn.functional.scaled_dot_product_attention
    out = attend(grouped, keys.transpose(1, 2), values.transpose(1, 2), store.seen, scale=scale)
    return out.reshape(store.rows, 1, query.shape[1], -1), None


@contextlib.contextmanager
def _attention(base: Any) -> Iterator[None]:
    from transformers import AttentionInterface

    AttentionInterface.register(STORE, attend_store)
    usual = base.config._attn_implementation
    base.set_attn_implementation(STORE)
    try:
        yield
    finally:
        base.set_attn_implementation(usual)
        _store.clear()


def _rows_of(lengths: Sequence[int]) -> Iterator[list[int]]:
    group: list[int] = []
    for i in range(len(lengths)):
        if group and sum(lengths[j] for j in group) + lengths[i] > ROW_TOKENS:
            yield group
            group = []
        group.append(i)
    yield group


def generate_from_store(
    model: Any, prompts: Sequence[Sequence[int]], new: int, graph: bool = True, by_flash: bool = False, look_every: int = 0
) -> Answers:
    """Greedy answers of `new` tokens each.

    Args:
        graph: whether a step is a CUDA graph.
        by_flash: whether decoding attends by the kernel of varlen attention, which reads only what is used; else by SDPA and a mask.
        look_every: steps between two looks of the host at the new tokens; 0: it looks at the end.
    """
    base = getattr(model, "get_base_model", lambda: model)()
    device = base.device
    capacity = -(-(max(map(len, prompts)) + new) // 64) * 64
    with torch.inference_mode(), _attention(base):
        started = perf_counter()
        store = _Store(len(prompts), capacity, device, by_flash)
        _store.append(store)
        token = _read(base, prompts, store)
        store.lengths.copy_(torch.tensor([len(p) for p in prompts]))
        written = torch.zeros(len(prompts), new, dtype=torch.long, device=device)
        written[:, 0] = token
        number = torch.ones(1, dtype=torch.long, device=device)
        _wait(device)
        read_s = perf_counter() - started

        def step() -> None:
            store.look_back()
            states = base.model(input_ids=token[:, None], position_ids=store.lengths[:, None], use_cache=False).last_hidden_state
            token.copy_(base.lm_head(states[:, 0]).argmax(-1))
            written.index_copy_(1, number, token[:, None])
            store.lengths.add_(1)
            number.add_(1)

        done, started = 1, perf_counter()
        replay = step
        if graph and device.type == "cuda":
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                # As a usual step first: libraries load and kernels are chosen.
                step()
                step()
                done = 3
                torch.cuda.synchronize()
                recorded = torch.cuda.CUDAGraph()
                with torch.cuda.graph(recorded, stream=side):
                    step()
            torch.cuda.synchronize()
            replay = recorded.replay
        capture_s, started = perf_counter() - started, perf_counter()
        steps = new - done
        for n in range(steps):
            replay()
            if look_every and n % look_every == 0:
                token.tolist()
        tokens = written.tolist()
        decode_s = perf_counter() - started
    return Answers(tokens, read_s, capture_s, decode_s * (new - 1) / max(1, steps))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _read(base: Any, prompts: Sequence[Sequence[int]], store: _Store) -> torch.Tensor:
    """The first new token of each prompt."""
    device, found = base.device, []
    for group in _rows_of([len(p) for p in prompts]):
        ends = list(accumulate(len(prompts[i]) for i in group))
        ids = torch.tensor([token for i in group for token in prompts[i]], device=device)
        store.position = torch.tensor([at for i in group for at in range(len(prompts[i]))], device=device)
        store.of_row = torch.tensor([i for i in group for _ in prompts[i]], device=device)
        prototypes._Rows.bounds = torch.tensor([0, *ends], dtype=torch.int32, device=device)
        states = base.model(input_ids=ids[None], position_ids=store.position[None], use_cache=False).last_hidden_state[0]
        found.append(base.lm_head(states[torch.tensor(ends, device=device) - 1]).argmax(-1))
    store.of_row = store.of_row[:0]
    return torch.cat(found)
