"""How quickly this project trains an adapter, beside the ways that others do: `.venv/bin/python tests/benchmarks/training`.

Prints a Markdown table for each model to stdout and what it is doing to stderr. Every contender runs in a process of its own,
one after another. Models, data and TRL are fetched once and kept in `.cache/`. With `--shapes`, models of known shapes with random
weights are measured instead, in one process (`on_shapes.py`): for a GPU that is lent for minutes.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contest import BATCH_SIZE, CONTENDERS, MODELS, ON_SHAPES, REPOSITORY, TRL_SITE, Contender, install_trl, run
from load import await_calm
from table import Contest, Measured, Row, markdown

SPARE = 2 * BATCH_SIZE
"""Examples of which the shorter half warms up: together they fit into one packed row, and so into one optimiser step."""
DEFAULT_ON_CPU = ("plain", "trainer", "trainer-accumulate", "trl-single", "trl-accumulate", "trl-packing-short", "ours")
"""The others were slower there: `--contenders all`."""


def parse_arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="training", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=[*MODELS, "all"], default="all")
    parser.add_argument("--examples", type=int, default=64, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--contenders", nargs="+", metavar="NAME", help=f"{', '.join(CONTENDERS)}; with --shapes: {', '.join(ON_SHAPES)}; or all"
    )
    parser.add_argument("--threads", type=int, default=usable_processors(), metavar="N", help="default: %(default)s")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="auto", help="auto (a CUDA device if there is one), cpu or cuda")
    parser.add_argument(
        "--rounds",
        type=int,
        default=2,
        metavar="N",
        help="each step counts with the best of its times in so many rounds, each in the reverse order of the one before (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=60,
        metavar="SECONDS",
        help="wait at most this long for other programs to leave the processors alone, each time (default: %(default)s)",
    )
    shapes = parser.add_argument_group("models of known shapes, with random weights")
    shapes.add_argument("--shapes", default="", metavar="NAMES", help="of tiny, small, 1b and 8b, separated by commas")
    shapes.add_argument("--batches", default="8,32", metavar="N,N", help="examples a step (default: %(default)s)")
    shapes.add_argument("--number", type=int, metavar="N", help="of examples (default: 192; 96 for 8b)")
    shapes.add_argument(
        "--passes", type=int, default=3, metavar="N", help="over the examples, of which the last counts (default: %(default)s)"
    )
    shapes.add_argument("--out", type=Path, metavar="FILE", help="the results are added to it, each as a line of JSON")
    shapes.add_argument(
        "--budget", type=float, default=600, metavar="SECONDS", help="begin nothing new after them (default: %(default)s)"
    )
    options = parser.parse_args()
    known = [*(ON_SHAPES if options.shapes else CONTENDERS), "all"]
    if unknown := sorted(set(options.contenders or []) - set(known)):
        parser.error(f"unknown contenders: {', '.join(unknown)}; known: {', '.join(known)}")
    return options


def usable_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(contender: Contender, warm_up: Sequence[Any], examples: Sequence[Any], folder: str, options: Namespace) -> Measured:
    """Train once with one contender."""
    await_calm(options.patience)
    measured: Measured = run(
        "train",
        options.threads,
        contender.uses_trl,
        function=contender.function,
        settings=contender.settings,
        folder=folder,
        warm_up=warm_up,
        examples=examples,
        device=options.device,
        dtype=options.dtype,
    )
    tell(f"  {contender.title}: {sum(measured['seconds']):.1f} s; other programs took {measured['others']:.0%}")
    return measured


def measure_peak(options: Namespace) -> dict[str, Any]:
    """Speed of the device."""
    await_calm(options.patience)
    peak: dict[str, Any] = run("peak", options.threads, device=options.device, dtype=options.dtype)
    tell(f"  matrix products: {peak['rate'] / 1e9:.0f} GFLOP/s")
    return peak


def hold(model: str, options: Namespace) -> Contest:
    """Measure all contenders on one model."""
    tell(f"{model}: fetching and tokenising")
    prepared = run("prepare", options.threads, model=model, number=options.examples + SPARE)
    examples, spare = prepared["examples"][: options.examples], prepared["examples"][options.examples :]
    warm_up = sorted(spare, key=lambda example: len(example["ids"]))[:BATCH_SIZE]
    peaks = [measure_peak(options)]
    names = options.contenders or (DEFAULT_ON_CPU if peaks[0]["type"] == "cpu" else ["all"])
    contenders = [CONTENDERS[name] for name in (CONTENDERS if "all" in names else names)]
    if any(contender.uses_trl for contender in contenders):
        install_trl()
    found: list[list[Measured]] = [[] for _ in contenders]
    for turn in range(options.rounds):
        order = range(len(contenders))
        for i in order if turn % 2 == 0 else reversed(order):
            found[i].append(measure(contenders[i], warm_up, examples, prepared["folder"], options))
        peaks.append(measure_peak(options))
    rows = [Row(contender, rounds) for contender, rounds in zip(contenders, found, strict=True)]
    return Contest(prepared["title"], options.dtype, peaks[0]["device"], [p["rate"] for p in peaks], examples, rows)


def tell(text: str) -> None:
    """Show what is going on."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the comparison."""
    options = parse_arguments()
    if options.shapes:
        # Only here: a process inherits its parent's peak memory.
        sys.path[:0] = [str(REPOSITORY / "workflow" / "scripts"), str(REPOSITORY / "tests"), str(TRL_SITE)]
        from on_shapes import hold as hold_on_shapes

        print(hold_on_shapes(options), flush=True)
        return
    for model in MODELS if options.model == "all" else [options.model]:
        print(markdown(hold(model, options)), flush=True)


main()
