"""How large reports are made, and how quickly they open: `.venv/bin/python tests/benchmarks/report`.

Makes up a finished grid, writes its files as the stages do, has the real functions make tables, figures and the page, each stage in a process of its own, and
opens the page in Chromium. Prints a Markdown table to stdout and what it is doing to stderr.
"""

import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
WORKER = Path(__file__).with_name("worker.py")
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from grid import METRICS, SHAPES, write_grid  # noqa: E402
from opening import measure_opening  # noqa: E402

from loragrid.layout import REPORT  # noqa: E402


def parse_arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="report", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", nargs="+", choices=list(SHAPES), default=["200", "1000"], metavar="N", help="default: 200 1000")
    parser.add_argument("--questions", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument("--openings", type=int, default=5, metavar="N", help="of which the median is told; default: %(default)s")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the files stay, to look at the page")
    return parser.parse_args()


class Cost(NamedTuple):
    """What a process took."""

    wall_s: float
    peak_bytes: int


def run_stage(stage: str, folder: Path, answers_in: str) -> Cost:
    """What a stage takes in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, str(WORKER), stage, answers_in], cwd=folder, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return Cost(time.perf_counter() - started, usage.ru_maxrss * 1024)


def measure(folder: Path, name: str, options: Namespace) -> list[str]:
    """The cells of a grid's row."""
    shape = SHAPES[name]
    answers_in = "folder" if shape.runs > 500 else "page"
    print(f"writing the files of {shape.runs} runs", file=sys.stderr, flush=True)
    write_grid(folder, shape, options.questions)
    print("making tables and figures", file=sys.stderr, flush=True)
    tables = run_stage("analyse", folder, answers_in)
    print("writing the page", file=sys.stderr, flush=True)
    page = run_stage("report", folder, answers_in)
    print("opening it", file=sys.stderr, flush=True)
    file = folder / REPORT.outputs["report"]
    opening = measure_opening(file, options.openings)
    beside = sum(path.stat().st_size for path in file.parent.glob("report_answers/*"))
    numbers = [f"{shape.runs:,}", f"{options.questions}", f"{sum(map(len, METRICS.values()))}", answers_in]
    costs = [f"{tables.wall_s:.0f}", f"{tables.peak_bytes / 1e9:.1f}", f"{page.wall_s:.0f}", f"{page.peak_bytes / 1e9:.1f}"]
    sizes = [f"{file.stat().st_size / 1e6:.1f}", f"{beside / 1e6:.1f}"]
    return [*numbers, *costs, *sizes, f"{opening.table_s:.2f}", f"{opening.ready_s:.2f}", f"{opening.filter_ms:.0f}"]


def main() -> None:
    """Measure each grid."""
    options = parse_arguments()
    print(
        "| runs | questions | metrics | answers in | tables s | GB | page s | GB | page MB | beside it MB "
        "| table there s | ready s | filter ms |"
    )
    print("|" + "---:|" * 13)
    for name in options.runs:
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.keep / name if options.keep else Path(temporary)
            print(f"| {' | '.join(measure(folder, name, options))} |", flush=True)


main()
