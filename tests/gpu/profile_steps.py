"""Where the time of a small training step goes: kernels, host time, conversions, waits; by PyTorch's profiler."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from lab import Lab, begin, examples_of, make_adapted, preload
from time_training import WAYS, changed, choose_grouped, library_loop, own_loop
from torch.profiler import ProfilerActivity, profile

from loragrid.training.batches import Encoded

FIRST, LAST = 12, 15
"""The steps between which the profiler watches: one more pass has gone before."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense", "aten::nonzero")
OPERATORS = ("aten::_to_copy", "aten::copy_", "aten::mm", "aten::add", "aten::add_", "aten::mul", "aten::item", "aten::cat")


def profiled(lab: Lab, shape: str, batch: int, name: str, examples: Sequence[Any]) -> dict[str, Any]:
    way = WAYS[name]
    model = make_adapted(shape, lab.device)
    encoded = [Encoded(e["ids"], e["target_start"]) for e in examples]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if lab.device.type == "cuda" else [])]
    recorded = profile(activities=activities)

    def follow(step: int) -> None:
        if step == FIRST:
            lab.synchronize()
            recorded.start()
        elif step == LAST:
            lab.synchronize()
            recorded.stop()

    with changed(model, way):
        (library_loop if way.loop == "library" else own_loop)(lab, model, encoded, batch, way, follow)
    return summary(recorded.key_averages(), LAST - FIRST)


def summary(rows: Any, steps: int) -> dict[str, Any]:
    """Per step: counts, and times in ms."""
    host, kernels = {}, {}
    counts: Counter[str] = Counter()
    for row in rows:
        if row.device_type.name == "CPU":
            counts[row.key] += row.count
            host[row.key] = row.self_cpu_time_total / 1000 / steps
        elif not row.key.startswith(("Optimizer", "ProfilerStep", "##")):
            kernels[row.key] = (row.self_device_time_total / 1000 / steps, row.count / steps)
    calls = {name: count / steps for name, count in counts.items() if "Launch" in name or name.startswith("cudaMemcpy")}
    most = sorted(kernels.items(), key=lambda item: -item[1][0])[:14]
    return {
        "kernels": round(sum(number for _, number in kernels.values())),
        "device_busy_ms": round(sum(ms for ms, _ in kernels.values()), 2),
        "host_ms": round(sum(host.values()), 2),
        "calls": {name: round(number, 1) for name, number in calls.items()},
        "waits": {name: round(counts[name] / steps, 1) for name in WAITS if counts[name]},
        "operators": {name: round(counts[name] / steps, 1) for name in OPERATORS if counts[name]},
        "host_most": {name: round(ms, 2) for name, ms in sorted(host.items(), key=lambda item: -item[1])[:14]},
        "kernels_most": {name[:70]: [round(ms, 2), round(number, 1)] for name, (ms, number) in most},
    }


def main() -> None:
    preload("peft", "liger_kernel.transformers", "transformers.models.llama.modeling_llama")
    lab, arguments = begin("profile", batch=8)
    choose_grouped(lab)
    for shape in arguments.shapes.split(","):
        examples = examples_of(arguments.examples, arguments.batch * 8, shape)
        for name in [name for name in arguments.only.split(";") if name] or WAYS:
            one = partial(profiled, lab, shape, arguments.batch, name, examples)
            lab.attempt(one, shape=shape, batch=arguments.batch, contender=name)


if __name__ == "__main__":
    main()
