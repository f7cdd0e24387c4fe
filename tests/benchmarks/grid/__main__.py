"""How quickly this project gets through a grid, beside other ways: `.venv/bin/python tests/benchmarks/grid`.

Prints Markdown tables to stdout and what it is doing to stderr. Each way starts from the same prepared data and ends with the scores of all models.
Ways take turns. With `--against`, the whole default experiment is run with two checkouts instead, and their results are compared;
with `--shapes`, adapters are trained on a model of known shape with random weights.
"""

import os
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests")]

from checkouts import config_of, copied, edit_config, prepare, put_checkout, put_packages  # noqa: E402
from processes import Cost, snakemake, tell, work_in  # noqa: E402

from same_results import comparable, differences  # noqa: E402


def parse_arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="grid", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--ways", nargs="+", choices=["scripts", "alone", "ahead"], default=["scripts", "alone", "ahead"], help="default: all"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="each way counts with the best of so many (default: %(default)s)"
    )
    parser.add_argument("--tasks", type=int, metavar="N", help="only so many tasks of the experiment (default: all)")
    parser.add_argument("--cores", type=int, default=usable_processors(), metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--against", type=Path, metavar="PATH", help="another checkout: run the whole default experiment with both"
    )
    parser.add_argument("--folder", type=Path, metavar="PATH", help="where runs happen, and stay (default: a temporary folder)")
    shapes = parser.add_argument_group("adapters on a model of known shape, with random weights")
    shapes.add_argument("--shapes", default="", metavar="NAMES", help="of tiny, small, 1b and 8b, separated by commas")
    shapes.add_argument("--device", default="auto", help="auto (a CUDA device if there is one), cpu or cuda")
    shapes.add_argument("--adapters", type=int, metavar="N", help="default: 16; 3 for tiny")
    shapes.add_argument(
        "--stages", nargs="+", choices=["adapters", "predictions"], default=["adapters"], help="default: %(default)s"
    )
    shapes.add_argument("--out", type=Path, metavar="FILE", help="the results are added to it, each as a line of JSON")
    shapes.add_argument(
        "--budget", type=float, default=600, metavar="SECONDS", help="begin nothing new after them (default: %(default)s)"
    )
    return parser.parse_args()


def usable_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first hold numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def turns(names: Sequence[str], repeat: int) -> list[str]:
    """Whose turn it is: each round in the reverse order of the one before."""
    return [name for turn in range(repeat) for name in (names if turn % 2 == 0 else names[::-1])]


def compare_ways(options: Namespace, folder: Path) -> None:
    """From prepared data to scores."""
    from ways import TITLES, WAYS, imports_of, only_what_scripts_do

    prepared = folder / "prepared"
    put_checkout(ROOT, prepared)
    edit_config(prepared, lambda config: only_what_scripts_do(config, options.tasks))
    put_packages(prepared)
    prepare(prepared, options.cores)
    found: dict[str, list[Cost]] = {name: [] for name in options.ways}
    results: dict[str, dict[str, str]] = {}
    for name in turns(options.ways, options.repeat):
        place = copied(prepared, folder / name)
        cost = WAYS[name](place, options.cores)
        found[name].append(cost)
        tell(f"  {name}: {cost.wall_s:.1f} s, {cost.cpu_s:.1f} s of processors, {cost.work_s:.1f} s of them at work")
        if name != "scripts":
            results[name] = comparable(place / "results")
    best = {name: min(costs, key=lambda cost: cost.wall_s) for name, costs in found.items()}
    first = best[options.ways[0]]
    config = config_of(prepared)
    print(heading(config, options.cores), "\n")
    rows = [row(TITLES[name], cost, first, options.cores) for name, cost in best.items()]
    print(table(HEADINGS, rows), flush=True)
    if len(results) == 2:
        print(f"\n{verdict(*results.values())}", flush=True)
    print(f"\n{table(('job', 'from start to end: s', 'imports: s', 'modules', 'large ones'), imports_of(prepared))}", flush=True)


HEADINGS = (
    "",
    "wall time: s",
    "× as fast",
    "processors: s",
    "training, generating, scoring: s of processors",
    "share of all else",
)


def heading(config: dict, cores: int) -> str:
    """What was run, and on what."""
    (block,) = config["grid"]
    axes = [len(block[axis]) for axis in ("base_models", "tasks", "sample_types", "nb_samples")]
    runs = axes[0] * axes[1] * axes[2] * axes[3]
    return f"{runs} runs and {axes[0] * axes[1]} predictions of the base model, {cores} processors."


def row(title: str, cost: Cost, first: Cost, cores: int) -> list[str]:
    """The texts of one way."""
    rest = 1 - cost.work_s / (cost.wall_s * cores)
    return [
        title,
        f"{cost.wall_s:.0f}",
        f"{first.wall_s / cost.wall_s:.2f}",
        f"{cost.cpu_s:.0f}",
        f"{cost.work_s:.0f}",
        f"{rest:.0%}",
    ]


def compare_checkouts(options: Namespace, folder: Path) -> None:
    """The whole default experiment, from packages to the report, with this checkout and with another."""
    checkouts = {"this checkout": ROOT, "the other": options.against.resolve()}
    found: dict[str, list[Cost]] = {name: [] for name in checkouts}
    results: dict[str, dict[str, str]] = {}
    for name in turns([*checkouts], options.repeat):
        place = folder / name.replace(" ", "-")
        shutil.rmtree(place, ignore_errors=True)
        put_checkout(checkouts[name], place)
        put_packages(place)
        cost = snakemake(place, options.cores)
        cost = cost._replace(work_s=work_in(place / "results"))
        found[name].append(cost)
        tell(f"  {name}: {cost.wall_s:.1f} s, {cost.cpu_s:.1f} s of processors")
        results[name] = comparable(place / "results")
    best = {name: min(costs, key=lambda cost: cost.wall_s) for name, costs in found.items()}
    other = best["the other"]
    rows = [row(name, cost, other, options.cores) for name, cost in best.items()]
    print(f"The default experiment from its packages to its report, {options.cores} processors.\n\n{table(HEADINGS, rows)}\n")
    print(
        f"Wall time of this checkout: {best['this checkout'].wall_s / other.wall_s:.2f} of the other's. {verdict(*results.values())}"
    )


def verdict(one: dict[str, str], other: dict[str, str]) -> str:
    """Whether two ways have the same results."""
    differ = differences(one, other)
    if not differ:
        return f"All {len(one)} results are the same, byte for byte or, where they hold times, without these."
    return "\n".join([f"**{len(differ)} of {len(one)} results differ:**", *differ[:40]])


def main() -> None:
    """Run the comparison."""
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if options.shapes:
            from on_shapes import hold

            print(hold(options, folder), flush=True)
        elif options.against:
            compare_checkouts(options, folder)
        else:
            compare_ways(options, folder)


main()
