"""How often the truly best way is left unmarked in the table of the study: `.venv/bin/python tests/simulations/standings.py`.

Makes up studies of several ways on the same questions, has the real function mark them, and prints a Markdown table. Where all ways are
equally good, each of them is a truly best one; where one is better, only that one is.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow/scripts")]

from unit.analysis.main_table.test_standings import standing  # noqa: E402

KINDS = {
    "right or wrong, half": lambda latent: (latent > 0).astype(float),
    "right or wrong, one in twenty": lambda latent: (latent > 2.33).astype(float),
    "bounded, skewed": lambda latent: 1 / (1 + np.exp(2 - latent)),
}
"""From a latent normal value of variance 2 to a score. Half of its variance is the question's."""

BETTER = 0.8
"""How much better the best way is, in units of the latent value, where one is better."""


def simulate(kind: str, nb_ways: int, questions: int, better: float, studies: int) -> tuple[float, float]:
    """The share of studies in which the first way, which is truly best, is left unmarked, and the mean share of marked ways."""
    rng = np.random.default_rng([nb_ways, questions])
    left_out = marked = 0.0
    for _ in range(studies):
        latent = rng.normal(size=questions) + rng.normal(size=(nb_ways, questions))
        latent[0] += better
        found = list(standing({f"w{place}": own for place, own in enumerate(KINDS[kind](latent))}).values())
        # Where no way has an answer that is better than others', none is marked, and none is left out.
        left_out += found[0] == "" and any(found)
        marked += float(np.mean([one != "" for one in found])) if any(found) else 1.0
    return left_out / studies, marked / studies


def main() -> None:
    """Print a row for each cell."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=300, metavar="N", help="of each cell; default: %(default)s")
    options = parser.parse_args()
    print("| scores | ways | questions | all alike: a best one left out | one better: left out | one better: ways marked |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        for nb_ways in (6, 12):
            for questions in (16, 50, 200):
                alike, _ = simulate(kind, nb_ways, questions, 0.0, options.studies)
                apart, marked = simulate(kind, nb_ways, questions, BETTER, options.studies)
                print(f"| {kind} | {nb_ways} | {questions} | {alike:.1%} | {apart:.1%} | {marked:.0%} |", flush=True)


main()
