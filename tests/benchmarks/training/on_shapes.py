"""The comparison on models of known shapes with random weights, in this process: nothing is downloaded, for a GPU that is lent for minutes.

Every contender passes over the examples several times; the last pass counts. Every result is a line of JSON as soon as it is known.
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import mean
from typing import Any

import contenders
from contest import ON_SHAPES, USUAL_ON_SHAPES, Contender
from table import FLOP

from lab import Lab, adapt, make_examples, make_model, make_tokenizer, markdown, open_lab, parameters_of, release, shapes_of
from loragrid.models.fused_kernels import use_fused_kernels


def hold(options: Namespace) -> str:
    """Measure, and give the tables."""
    import transformers.models.llama.modeling_llama  # noqa: F401 - so that its import is not timed

    lab, tables = open_lab("training", options), []
    peak = lab.matmul_rate()
    names = options.contenders or USUAL_ON_SHAPES
    batches = [int(number) for number in options.batches.split(",")]
    for shape in shapes_of(options):
        examples = make_examples(options.number or (96 if shape == "8b" else 192), shape)
        for name in ON_SHAPES if "all" in names else names:
            for batch in batches:
                lab.attempt(
                    lambda shape=shape, name=name, batch=batch, examples=examples: measure(
                        lab, shape, ON_SHAPES[name], batch, examples, peak, options.passes
                    ),
                    shape=shape,
                    contender=name,
                    batch=batch,
                )
        tables.append(table(lab.lines, shape, batches, examples, peak))
    return "\n".join(tables)


def measure(
    lab: Lab, shape: str, contender: Contender, batch: int, examples: Sequence[Any], peak: float, passes: int
) -> dict[str, Any]:
    """Train a model of its own with one contender."""
    if contender.function == "ours":
        # Steps are recorded for each shape, when it comes back: as in a long training, most have to have come back.
        passes *= 2
    settings = settings_of(contender, batch, examples, lab.device.type)
    with usual_layers():
        base = make_model(shape, lab.device)
        if contender.function == "ours" and settings.get("kernels") != "none":
            use_fused_kernels(base, lab.device)
        model = adapt(base)
        release(lab.device)
        trained = contenders.FUNCTIONS[contender.function](model, examples, make_tokenizer(), settings, passes=passes)
    in_pass = len(trained.seconds) // passes
    first, last = trained.seconds[:in_pass], trained.seconds[-in_pass:]
    tokens = sum(len(example["ids"]) for example in examples)
    return {
        "tokens_per_s": round(tokens / sum(last)),
        "of_peak": round(FLOP * parameters_of(model) * tokens / sum(last) / peak, 3),
        "peak_gib": lab.peak_gib(),
        "first_pass_s": round(sum(first), 2),
        "last_pass_s": round(sum(last), 3),
        "steps": in_pass,
        "loss": round(trained.loss, 4),
    }


def settings_of(contender: Contender, batch: int, examples: Sequence[Any], device: str) -> dict[str, Any]:
    """A contender's settings for so many examples a step."""
    settings = dict(contender.settings)
    if contender.function == "ours":
        return settings | {"batch_size": batch}
    if device == "cpu":
        settings.pop("use_liger_kernel", None)
    if settings.get("packing"):
        # One row a step, with about as many examples.
        longest = max(len(example["ids"]) for example in examples)
        row = max(longest, round(batch * mean(len(example["ids"]) for example in examples)))
        return settings | {"per_device_train_batch_size": 1, "max_length": row}
    return settings | {"per_device_train_batch_size": batch, "max_length": None}


@contextmanager
def usual_layers() -> Iterator[None]:
    """Take back what a contender changes for all models: Liger puts its own functions into transformers' module."""
    from transformers.models.llama import modeling_llama

    usual = dict(vars(modeling_llama))
    try:
        yield
    finally:
        vars(modeling_llama).update(usual)


def table(lines: Sequence[Mapping[str, Any]], shape: str, batches: Sequence[int], examples: Sequence[Any], peak: float) -> str:
    """What was measured on one shape."""
    found = {(line["contender"], line["batch"]): line for line in lines if line.get("shape") == shape}
    names = list(dict.fromkeys(name for name, _ in found))
    best = {
        batch: max(
            (line.get("tokens_per_s", 0) for (name, of), line in found.items() if of == batch and name.startswith("trl")),
            default=0,
        )
        for batch in batches
    }
    headings = [""]
    for batch in batches:
        headings += [f"{batch} examples a step: tokens/s", "× best TRL", "of peak", "memory"]
    rows = [
        [ON_SHAPES[name].title, *(cell for b in batches for cell in cells(found.get((name, b), {}), best[b]))] for name in names
    ]
    lengths = [len(example["ids"]) for example in examples]
    about = (
        f"{len(lengths)} examples of {mean(lengths):.0f} tokens on average, at most {max(lengths)}; {peak / 1e12:.3g} TFLOP/s."
    )
    return f"\n**{shape}**: {about}\n\n{markdown(headings, rows)}\n"


def cells(line: Mapping[str, Any], best: float) -> list[str]:
    """The texts of one result; a failure has none."""
    if "tokens_per_s" not in line:
        return ["failed" if "failed" in line else "–", "", "", ""]
    times = f"{line['tokens_per_s'] / best:.2f}" if best else ""
    memory = "" if line["peak_gib"] is None else f"{line['peak_gib']:.1f} GiB"
    return [f"{line['tokens_per_s']:,}", times, f"{line['of_peak']:.0%}", memory]
