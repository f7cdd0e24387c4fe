"""Made-up results of ways, whose truth is known: questions in clusters crossed with training seeds.

Scores come from normal variables that have a part for the cluster, the question, the seed and what is left, so that the share of each
is known, and any distribution of scores can be made of them.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtr, ndtri

CLUSTERS = {16: 4, 50: 10, 200: 20, 1000: 100}
"""How many clusters a number of questions is in, where they are clustered at all: 20 documents of 10 questions, for one."""

INTERACTION = 0.3
"""The share of what one training answers otherwise than another, question by question."""

ALIKE = 0.7
"""How far two ways find the same questions hard."""

NODES = np.linspace(-7, 7, 401)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
TABLE = np.linspace(-6, 6, 4001)


class Kind(NamedTuple):
    """A distribution of scores between 0 and 1: right with a probability, or Beta."""

    name: str
    right: float | None = None
    beta: tuple[float, float] = (1, 1)

    @property
    def mean(self) -> float:
        return self.beta[0] / sum(self.beta) if self.right is None else self.right

    def scores(self, normal: np.ndarray) -> np.ndarray:
        if self.right is not None:
            return (normal > -ndtri(self.right)).astype(np.float64)
        return np.interp(normal, TABLE, _quantiles(self.beta))


@cache
def _quantiles(beta: tuple[float, float]) -> np.ndarray:
    return betaincinv(*beta, ndtr(TABLE))


RARE, EVEN, OFTEN = Kind("right 0.05", 0.05), Kind("right 0.5", 0.5), Kind("right 0.95", 0.95)
SKEWED = Kind("skewed", beta=(0.4, 3.6))
KINDS = (RARE, EVEN, OFTEN, SKEWED)

OTHER = {
    RARE: Kind("right 0.1", 0.1),
    EVEN: Kind("right 0.6", 0.6),
    OFTEN: Kind("right 0.9", 0.9),
    SKEWED: Kind("less", beta=(0.6, 3.4)),
}
"""What a way of a kind is compared with."""


class Cell(NamedTuple):
    kind: Kind
    questions: int
    seeds: int
    """Of a way; with one, nothing is claimed about others."""
    likeness: float = 0.0
    """Intraclass correlation of the scores of a cluster; 0 for questions that are clusters of their own."""
    seed_share: float = 0.01
    """Of seeds in the variance of the normal variables: 0.01 is a standard deviation of 4 points for a way that is right at half."""

    @property
    def nb_clusters(self) -> int:
        return CLUSTERS[self.questions] if self.likeness else self.questions

    @property
    def clusters(self) -> np.ndarray:
        return np.repeat(np.arange(self.nb_clusters), self.questions // self.nb_clusters)


@cache
def _share_of_clusters(kind: Kind, likeness: float) -> float:
    """The share in normal variables that gives the scores of a cluster their correlation."""

    def excess(share: float) -> float:
        inner = np.sqrt(share) * NODES[:, None] + np.sqrt(1 - share) * NODES
        if kind.right is None:
            expected, variance = kind.scores(inner) @ WEIGHTS, kind.mean * (1 - kind.mean) / (sum(kind.beta) + 1)
        else:
            expected, variance = (
                ndtr((np.sqrt(share) * NODES + ndtri(kind.right)) / np.sqrt(1 - share)),
                kind.mean * (1 - kind.mean),
            )
        return (WEIGHTS @ expected**2 - kind.mean**2) / variance - likeness

    return brentq(excess, 1e-4, 0.999) if likeness else 0.0


def _normal(rng: np.random.Generator, cell: Cell, repetitions: int, seeds: int, interaction: float) -> np.ndarray:
    """(repetitions, seeds, questions): standard normal, in clusters."""
    share = _share_of_clusters(cell.kind, cell.likeness)

    def part(weight: float, *shape: int) -> np.ndarray:
        return np.float32(np.sqrt(weight)) * rng.standard_normal((repetitions, *shape), dtype=np.float32)

    normal = part((1 - share) * (1 - interaction), 1, cell.questions)
    if interaction:
        normal = normal + part((1 - share) * interaction, seeds, cell.questions)
    if share:
        of_clusters = part(share * (1 - interaction), 1, cell.nb_clusters)
        if interaction:
            of_clusters = of_clusters + part(share * interaction, seeds, cell.nb_clusters)
        normal = normal + np.repeat(of_clusters, cell.questions // cell.nb_clusters, axis=-1)
    return normal


def ways(rng: np.random.Generator, cell: Cell, repetitions: int, kinds: Sequence[Kind], base: bool = False) -> list[np.ndarray]:
    """Scores of several ways on the same questions, (repetitions, seeds, questions) each; the last is a base model on request."""
    common = np.float32(np.sqrt(ALIKE)) * _normal(rng, cell, repetitions, 1, 0.0)
    made = []
    for place, kind in enumerate(kinds):
        seeds = 1 if base and place == len(kinds) - 1 else cell.seeds
        normal = common + np.float32(np.sqrt(1 - ALIKE)) * _normal(rng, cell, repetitions, seeds, INTERACTION)
        if seeds > 1 and cell.seed_share:
            of_seeds = rng.standard_normal((repetitions, seeds, 1), dtype=np.float32)
            normal = np.float32(np.sqrt(1 - cell.seed_share)) * normal + np.float32(np.sqrt(cell.seed_share)) * of_seeds
        made.append(kind.scores(normal))
    return made


def in_parts(measure: Callable[[int], np.ndarray], cell: Cell, repetitions: int) -> np.ndarray:
    """What repetitions give, made a few at a time to save memory."""
    at_once = max(1, min(repetitions, 2_000_000 // (cell.questions * cell.seeds**2)))
    return np.concatenate([measure(min(at_once, repetitions - start)) for start in range(0, repetitions, at_once)])
