"""How quickly this project answers prompts, beside the ways that others do: `.venv/bin/python tests/benchmarks/inference`.

Prints Markdown tables to stdout and what it is doing to stderr. Every contender runs in a process of its own, one after another, on the
prompts of the default experiment. Model and data are fetched once and kept in `.cache/`. With `--shapes`, models of known shapes with
random weights are measured instead, in one process (`on_shapes.py`): for a GPU that is lent for minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).parents[3]
TITLES = {
    "one_by_one": "`generate`, one prompt at a time",
    "fixed": "`generate`, batches of 32 in data order, padded on the left",
    "ours": "**loragrid**",
}
ADAPTERS = {
    "separate": "a process for each adapter",
    "switching": "one process, adapter after adapter, as loragrid does on a CPU",
    "mixed": "one process, mixed batches (peft's `adapter_names`)",
    "together": "one process, mixed batches as loragrid makes them on a GPU",
}


def parse_arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="inference", description=__doc__.partition("\n")[0])
    parser.add_argument("--prompts", type=int, metavar="N", help="default: 64; with --shapes 128")
    parser.add_argument("--adapters", type=int, metavar="N", help="default: 4; with --shapes 16")
    parser.add_argument("--prompts-per-adapter", type=int, metavar="N", help="default: 16; with --shapes 32")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="default: %(default)s")
    parser.add_argument("--dtype", default="auto", help="auto (default), float32 or bfloat16")
    parser.add_argument(
        "--rounds",
        type=int,
        default=2,
        metavar="N",
        help="each contender counts with the best of so many rounds (default: %(default)s)",
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: the first CUDA device, if any")
    shapes = parser.add_argument_group("models of known shapes, with random weights and an adapter")
    shapes.add_argument("--shapes", default="", metavar="NAMES", help="of tiny, small, 1b and 8b, separated by commas")
    shapes.add_argument("--batches", default="32,128", metavar="N,N", help="of generate(); default: %(default)s")
    shapes.add_argument("--new", type=int, default=64, metavar="N", help="tokens of an answer (default: %(default)s)")
    shapes.add_argument("--out", type=Path, metavar="FILE", help="the results are added to it, each as a line of JSON")
    shapes.add_argument(
        "--budget", type=float, default=600, metavar="SECONDS", help="begin nothing new after them (default: %(default)s)"
    )
    options = parser.parse_args()
    options.prompts = options.prompts or (128 if options.shapes else 64)
    options.adapters = options.adapters or (16 if options.shapes else 4)
    options.prompts_per_adapter = options.prompts_per_adapter or (32 if options.shapes else 16)
    return options


def run(job: dict[str, Any]) -> dict[str, Any]:
    """What the worker tells of one job, with the seconds from its start to its end (`whole_s`)."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    paths = [f"{ROOT}/workflow/scripts", f"{ROOT}/tests", *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    with tempfile.NamedTemporaryFile() as result:
        started = time.perf_counter()
        command = [sys.executable, str(WORKER), result.name]
        subprocess.run(command, input=json.dumps(job), text=True, env=environment, check=True, stdout=sys.stderr)
        whole = time.perf_counter() - started
        found: dict[str, Any] = json.loads(Path(result.name).read_text())
    print(f"  {job['contender']}: {found['generation_s']:.1f} of {whole:.1f} s", file=sys.stderr, flush=True)
    return found | {"whole_s": whole}


def best(jobs: dict[str, list[dict[str, Any]]], rounds: int) -> dict[str, dict[str, float]]:
    """Of each contender the round that took least; a contender of several processes counts with their sum."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in jobs}
    for turn in range(rounds):
        for name in jobs if turn % 2 == 0 else reversed(jobs):
            parts = [run(job) for job in jobs[name]]
            found[name].append({key: sum(part[key] for part in parts) for key in ("generation_s", "whole_s", "new_tokens")})
    return {name: min(of_rounds, key=lambda one: one["whole_s"]) for name, of_rounds in found.items()}


def main() -> None:
    """Run the comparison."""
    options = parse_arguments()
    if options.shapes:
        sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests")]
        from on_shapes import hold

        print(hold(options), flush=True)
        return
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    common = {"threads": options.threads, "dtype": options.dtype}
    about = run(common | {"contender": "about", "prompts": options.prompts})
    print(f"SmolLM2-135M, {about['title']}, {options.threads} threads, {about['dtype']}; {about['prompts']}\n")

    jobs = {name: [common | {"contender": name, "prompts": options.prompts}] for name in TITLES}
    found = best(jobs, options.rounds)
    usual = found["one_by_one"]
    print("| contender | new tokens/s | s per 100 examples | × | with start-up: s | × | start-up |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, title in TITLES.items():
        one = found[name]
        seconds, whole = one["generation_s"], one["whole_s"]
        numbers = [f"{one['new_tokens'] / seconds:.0f}", f"{100 * seconds / options.prompts:.1f}"]
        numbers += [f"{usual['generation_s'] / seconds:.1f}", f"{whole:.1f}", f"{usual['whole_s'] / whole:.1f}"]
        print(f"| {title} | {' | '.join(numbers)} | {1 - seconds / whole:.0%} |")

    numbers = list(range(options.adapters))
    each = common | {"prompts": options.prompts_per_adapter}
    found = best(
        {
            "separate": [each | {"contender": "switching", "adapters": [number]} for number in numbers],
            "switching": [each | {"contender": "switching", "adapters": numbers}],
            "mixed": [each | {"contender": "mixed", "adapters": numbers}],
            "together": [each | {"contender": "together", "adapters": numbers}],
        },
        options.rounds,
    )
    print(f"\n{options.adapters} adapters, {options.prompts_per_adapter} prompts each:\n")
    print("| contender | generation s | with start-up: s | × | start-up |")
    print("|---|---:|---:|---:|---:|")
    for name, title in ADAPTERS.items():
        seconds, whole = found[name]["generation_s"], found[name]["whole_s"]
        times = found["separate"]["whole_s"] / whole
        print(f"| {title} | {seconds:.1f} | {whole:.1f} | {times:.1f} | {1 - seconds / whole:.0%} |")


main()
