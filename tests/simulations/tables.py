"""Prints the tables of docs/statistics.md: what intervals and verdicts promise, in more repetitions than the tests have time for.

From the repository's root: PYTHONPATH=workflow/scripts:tests .venv/bin/python -m simulations.tables [repetitions]
"""

import sys

from simulations.grids import CLUSTERS, EVEN, KINDS, RARE, SKEWED, Cell, Kind
from simulations.measures import coverage_of_difference, coverage_of_mean, equivalent, false_alarms, found, planned, stated


def coverage(repetitions: int) -> None:
    print("| questions | seeds | clusters |", " | ".join(kind.name for kind in KINDS), "|")
    print("|---|---|---|" + "---|" * len(KINDS))
    for questions in CLUSTERS:
        for seeds in (1, 3, 5):
            for likeness in (0.0, 0.5):
                cells = [Cell(kind, questions, seeds, likeness) for kind in KINDS]
                both = [(coverage_of_mean(cell, repetitions), coverage_of_difference(cell, repetitions)) for cell in cells]
                clusters = CLUSTERS[questions] if likeness else "none"
                print(
                    f"| {questions} | {seeds} | {clusters} |",
                    " | ".join(f"{100 * a:.1f} {100 * b:.1f}" for a, b in both),
                    "|",
                    flush=True,
                )


def seeds_that_matter(repetitions: int) -> None:
    print("\n| seeds | share of seeds | mean | two trained ways | against a base model |\n|---|---|---|---|---|")
    for seeds in (2, 3, 5):
        for share in (0.0, 0.01, 0.05, 0.2):
            cell = Cell(EVEN, 200, seeds, 0.0, share)
            covered = [coverage_of_mean(cell, repetitions)]
            covered += [coverage_of_difference(cell, repetitions, base=base) for base in (False, True)]
            print(f"| {seeds} | {share} |", " | ".join(f"{100 * of_cell:.1f}" for of_cell in covered), "|", flush=True)


def alarms(grids: int) -> None:
    print("\n| scores | questions | seeds | share of seeds | clusters | contrasts | held together | each by itself |")
    print("|---|---|---|---|---|---|---|---|")
    for cell in (
        Cell(EVEN, 50, 1),
        Cell(RARE, 50, 1),
        Cell(SKEWED, 50, 1),
        Cell(EVEN, 200, 1),
        Cell(RARE, 200, 1),
        Cell(SKEWED, 200, 1),
        Cell(EVEN, 200, 1, 0.5),
        Cell(EVEN, 200, 2, 0.0, 0.05),
        *(Cell(EVEN, 200, 3, 0.0, share) for share in (0.0, 0.01, 0.05, 0.2)),
        *(Cell(SKEWED, 200, 3, 0.0, share) for share in (0.01, 0.05)),
        *(Cell(EVEN, 200, 5, 0.0, share) for share in (0.01, 0.05, 0.2)),
        Cell(SKEWED, 200, 5),
    ):
        for size in (12, 66):
            together, alone = false_alarms(cell, size, grids if size == 12 else grids // 3)
            print(
                f"| {cell.kind.name} | {cell.questions} | {cell.seeds} | {cell.seed_share if cell.seeds > 1 else ''} |"
                f" {clusters_of(cell)} | {size} | {100 * together:.1f} | {100 * alone:.1f} |",
                flush=True,
            )


def clusters_of(cell: Cell) -> str:
    return str(cell.nb_clusters) if cell.likeness else "none"


def power(repetitions: int) -> None:
    print("\n| scores | questions | seeds | share of seeds | clusters | other way | planned | found | stated | found |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for even in (True, False):

        def better(size: float, even: bool = even) -> Kind:
            return Kind("better", 0.5 + size) if even else Kind("better", beta=(4 * (0.1 + size), 4 * (0.9 - size)))

        for cell in (
            Cell(better(0.0), 50, 1),
            Cell(better(0.0), 200, 1),
            Cell(better(0.0), 200, 1, 0.5),
            Cell(better(0.0), 1000, 1),
            Cell(better(0.0), 200, 3),
            Cell(better(0.0), 200, 3, 0.0, 0.05),
            Cell(better(0.0), 200, 3, 0.5),
            Cell(better(0.0), 1000, 3),
            Cell(better(0.0), 200, 5),
        ):
            # Where seeds matter much, a base model may be better by more than there is room for.
            for base in (False, True) if cell.seeds > 1 and cell.seed_share < 0.05 else (False,):
                sizes = planned(cell, better, base), stated(cell, better, base, 400)
                shares = [f"{size:.3f} | {100 * found(cell, better(size), repetitions, base):.1f}" for size in sizes]
                print(
                    f"| {'right 0.5' if even else 'skewed'} | {cell.questions} | {cell.seeds} |"
                    f" {cell.seed_share if cell.seeds > 1 else ''} | {clusters_of(cell)} | {'base model' if base else 'trained'} |",
                    " | ".join(shares),
                    "|",
                    flush=True,
                )


def equivalence(repetitions: int) -> None:
    print("\n| scores | questions | seeds | differ by what matters | do not differ |\n|---|---|---|---|---|")
    for kind, worse, matters in ((EVEN, Kind("worse", 0.35), 0.15), (SKEWED, Kind("worse", beta=(0.2, 3.8)), 0.05)):
        for questions, seeds in ((50, 1), (200, 1), (200, 3), (1000, 1)):
            cell = Cell(kind, questions, seeds)
            called = [equivalent(cell, other, matters, repetitions) for other in (worse, kind)]
            print(
                f"| {kind.name} | {questions} | {seeds} |", " | ".join(f"{100 * share:.1f}" for share in called), "|", flush=True
            )


if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    coverage(repetitions)
    seeds_that_matter(repetitions)
    power(repetitions)
    equivalence(repetitions)
    alarms(repetitions // 4)
