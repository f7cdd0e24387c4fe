"""Where the time of a small training step goes: kernels, host time, waits; by PyTorch's profiler.

`PYTHONPATH=workflow/scripts:tests python tests/benchmarks/training/profile_steps.py --device cuda --shapes 1b`
"""

from collections import Counter
from typing import Any

import contenders
from on_shapes import usual_layers
from torch.profiler import ProfilerActivity, profile

from lab import Lab, adapt, lab_parser, make_examples, make_model, make_tokenizer, open_lab, shapes_of
from loragrid.models.fused_kernels import use_fused_kernels

BEFORE, WATCHED = 12, 3
"""Steps that go before, and steps that the profiler watches."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense", "aten::nonzero")
OPERATORS = ("aten::_to_copy", "aten::copy_", "aten::mm", "aten::add", "aten::add_", "aten::mul", "aten::item", "aten::cat")


def profiled(lab: Lab, shape: str, batch: int, settings: dict[str, Any]) -> dict[str, Any]:
    """The library's loop, watched in a few of its steps."""
    # The same examples in each step: what is recorded for a shape has been recorded before.
    examples = make_examples(batch, shape)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if lab.device.type == "cuda" else [])]
    recorded = profile(activities=activities)

    def follow(step: int) -> None:
        lab.synchronize()
        if step == BEFORE:
            recorded.start()
        elif step == BEFORE + WATCHED:
            recorded.stop()

    with usual_layers():
        base = make_model(shape, lab.device)
        use_fused_kernels(base, lab.device)
        model = adapt(base)
        settings = {"batch_size": batch, "epochs": BEFORE + WATCHED + 1} | settings
        contenders.ours(model, examples, make_tokenizer(), settings, follow=follow)
    return summary(recorded.key_averages(), WATCHED)


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
    parser = lab_parser("profile_steps.py", __doc__.partition("\n")[0], "1b")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="examples a step (default: %(default)s)")
    options = parser.parse_args()
    lab = open_lab("profile", options)
    for shape in shapes_of(options):
        for name, settings in (("ours", {}), ("packing: off", {"packing": "off"})):
            lab.attempt(
                lambda shape=shape, settings=settings: profiled(lab, shape, options.batch, settings),
                shape=shape,
                batch=options.batch,
                contender=name,
            )


if __name__ == "__main__":
    main()
