"""How quickly large grids are planned: `.venv/bin/python tests/benchmarks/scale`.

Prints a Markdown table to stdout and what it is doing to stderr. Dry runs of the workflow stand beside those of a minimal workflow with the same jobs:
the same rules, numbers of inputs and outputs, edges, messages, and the profile `profiles/default`. Of other things the minimal one has what Snakemake's own
linter asks of any workflow: a script, a log and an environment for each rule. It has no library, validation of its configuration, params,
resources, benchmarks, priorities or constraints of single wildcards, and it names files by patterns and precomputed lists.

No job runs. For the runs that find nothing to do, all files are made, and Snakemake records the jobs as done. Contenders take turns; each
number is the best of its rounds, since other programs can only add to it.
"""

import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

from projects import AXES, make_project

CONTENDERS = ("loragrid", "minimal")
SCENES = ("everything", "one named file", "nothing to do")
NAMED = "results/scores/first/gold/model0/first__gold__target_only__n2__lora0__completion__seed1/rouge.jsonl"


class Cost(NamedTuple):
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Of the largest process."""


def parse_arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="scale", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", choices=list(AXES), default=list(AXES), metavar="N", help="jobs; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: %(default)s")
    return parser.parse_args()


def dry_run(folder: Path, *arguments: str) -> tuple[Cost, str]:
    """What a dry run took, and what it said."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    with tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *arguments]
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        said.seek(0)
        text = said.read()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(text)
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024), text


def planned(text: str) -> int:
    """The number of jobs that a dry run lists."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("total ")), 0)


def measure(folders: dict[str, Path], rounds: int, *arguments: str) -> tuple[dict[str, Cost], int]:
    """The best of each contender, and the number of jobs, on which they must agree."""
    found: dict[str, list[Cost]] = {name: [] for name in folders}
    jobs = set()
    for _ in range(rounds):
        for name, folder in folders.items():
            cost, text = dry_run(folder, *arguments)
            jobs.add(planned(text))
            found[name].append(cost)
            print(f"  {name}: {cost.wall_s:.1f} s, {cost.cpu_s:.1f} s of a processor", file=sys.stderr, flush=True)
    (number,) = jobs
    return {name: Cost(*map(min, zip(*costs, strict=True))) for name, costs in found.items()}, number


def row(scene: str, jobs: int, costs: dict[str, Cost]) -> str:
    """A line of the table."""
    ours, minimal = costs["loragrid"], costs["minimal"]
    cells = [scene, f"{jobs:,}", f"{ours.wall_s:.1f}", f"{minimal.wall_s:.1f}", f"{ours.wall_s / minimal.wall_s:.2f}"]
    cells += [f"{ours.cpu_s / minimal.cpu_s:.2f}", f"{ours.peak_bytes / 1e6:.0f}", f"{minimal.peak_bytes / 1e6:.0f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the comparison."""
    options = parse_arguments()
    print("| dry run | jobs | loragrid: s | minimal: s | × | × of processor time | loragrid: MB | minimal: MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folders = {name: Path(temporary) / name for name in CONTENDERS}
            for name, folder in folders.items():
                make_project(folder, AXES[size], minimal=name == "minimal")
            everything, one, nothing = SCENES
            print(row(everything, *reversed(measure(folders, options.rounds))), flush=True)
            print(row(one, *reversed(measure(folders, options.rounds, NAMED))), flush=True)
            for folder in folders.values():
                subprocess.run(
                    [sys.executable, str(Path(__file__).with_name("finish.py"))], cwd=folder, check=True, capture_output=True
                )
            print(row(nothing, *reversed(measure(folders, options.rounds))), flush=True)


main()
