"""How quickly the tables of large grids are made: `.venv/bin/python tests/benchmarks/analysis`.

Makes up predictions and scores, writes them as the stages do, and has the real functions read them and write all tables and figures: those of the rule
`analyse`, in a process of its own for each grid. Prints a Markdown table to stdout and what it is doing to stderr.
"""

import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

from rows import SHAPES, write_grid

ROOT = Path(__file__).parents[3]
WORKER = Path(__file__).with_name("worker.py")


def parse_arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="analysis", description=__doc__.partition("\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES), metavar="NAME", help="default: all")
    parser.add_argument("--questions", type=int, default=200, metavar="N", help="default: %(default)s")
    return parser.parse_args()


class Cost(NamedTuple):
    """What a process took that makes all tables."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    reading_s: float
    contrasts: int


def measure(folder: Path) -> Cost:
    """What a process takes to make all tables."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(WORKER)], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        said = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    reading, contrasts = said.split()
    seconds = time.perf_counter() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, float(reading), int(contrasts))


def main() -> None:
    """Measure each grid."""
    options = parse_arguments()
    print("| runs | kinds of run | score rows | contrasts | s | s of a processor | of these reading | GB |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in options.shapes:
        with tempfile.TemporaryDirectory() as temporary:
            print(f"writing {name}", file=sys.stderr, flush=True)
            numbers = write_grid(Path(temporary), SHAPES[name], options.questions)
            cost = measure(Path(temporary))
        cells = [f"{number:,}" for number in (*numbers, cost.contrasts)]
        cells += [f"{seconds:.0f}" for seconds in (cost.wall_s, cost.cpu_s, cost.reading_s)]
        print(f"| {' | '.join([*cells, f'{cost.peak_bytes / 1e9:.1f}'])} |", flush=True)


main()
