"""How often 95 % intervals about scorers hold the truth. The tables of docs/statistics.md come from this script.

PYTHONPATH=workflow/scripts:tests .venv/bin/python tests/simulations/scorers.py [REPETITIONS [TABLE …]]
"""

import itertools
import math
import sys
from collections.abc import Callable

import numpy as np

from loragrid.analysis.statistics.correlation import (
    COEFFICIENTS,
    Answers,
    between_ways,
    by_group,
    over_all_answers,
    within_questions,
)
from loragrid.analysis.statistics.equal_length import at_equal_length
from loragrid.analysis.statistics.ppi import corrected_mean
from loragrid.analysis.statistics.rater_agreement import agreement_of_two


def covered(intervals, truth):
    """The share of intervals that hold the truth, of those that there are, and the share that there are."""
    there = [one for one in intervals if math.isfinite(one.low)]
    return float(np.mean([one.low <= truth <= one.high for one in there])) if there else math.nan, len(there) / len(intervals)


def pairs(generator, shape, correlation):
    """Normal pairs with a correlation: two arrays."""
    own = generator.standard_normal(shape)
    return own, correlation * own + math.sqrt(1 - correlation**2) * generator.standard_normal(shape)


def labels(questions, ways, per_cluster=1):
    """The question, way and cluster of each answer."""
    question = np.repeat(np.arange(questions), ways)
    return question, np.tile(np.arange(ways), questions), question // per_cluster


def truth_over_all(correlation):
    """Of normal pairs (Kendall & Gibbons 1990)."""
    return {
        "pearson": correlation,
        "spearman": 6 / math.pi * math.asin(correlation / 2),
        "kendall": 2 / math.pi * math.asin(correlation),
    }


def coverage_over_all(correlation, questions, ways, intraclass, repetitions, seed=0, rounded=None):
    """Coverage of each coefficient over all answers, where the answers to a question have something in common.

    Args:
        intraclass: how much of the variance answers to one question share.
        rounded: the digits to which scores are rounded, so that there are ties. The truth is then that of a large sample.
    """
    generator = np.random.default_rng(seed)
    question, way, cluster = labels(questions, ways)
    found = {name: [] for name in COEFFICIENTS}

    def draw(question, n):
        common, single = pairs(generator, n, correlation), pairs(generator, len(question), correlation)
        values = [
            math.sqrt(intraclass) * a[question] + math.sqrt(1 - intraclass) * b for a, b in zip(common, single, strict=True)
        ]
        return values if rounded is None else [np.round(one, rounded) for one in values]

    for _ in range(repetitions):
        of_all = over_all_answers(Answers(*draw(question, questions), question, way, cluster))
        for name, one in of_all.items():
            found[name].append(one)
    truth = truth_over_all(correlation)
    if rounded is not None:
        many = np.arange(200_000)
        truth = {name: one.value for name, one in over_all_answers(Answers(*draw(many, len(many)), many, many, many)).items()}
    return {name: covered(found[name], truth[name])[0] for name in COEFFICIENTS}


def coverage_within(correlation, questions, ways, per_cluster, repetitions, seed=0):
    """Coverage of Spearman's and Kendall's coefficients within questions, where questions of a cluster have a correlation in common."""
    generator = np.random.default_rng(seed)
    question, way, cluster = labels(questions, ways, per_cluster)
    found = {"spearman": [], "kendall": []}
    # The correlations of clusters, which lie around the given one.
    nodes = np.tanh(np.arctanh(correlation) + 0.4 * np.random.default_rng(1).standard_normal(20_000))
    spearman = 6 / (math.pi * (ways + 1)) * (np.arcsin(nodes) + (ways - 2) * np.arcsin(nodes / 2))
    truth = {"spearman": float(spearman.mean()), "kendall": float((2 / math.pi * np.arcsin(nodes)).mean())}
    for _ in range(repetitions):
        of_cluster = generator.choice(nodes, cluster.max() + 1)[cluster]
        own, noise = generator.standard_normal((2, len(question)))
        other = of_cluster * own + np.sqrt(1 - of_cluster**2) * noise
        intervals = within_questions(Answers(own, other, question, way, cluster))
        for name in found:
            found[name].append(intervals[name])
    return {name: covered(found[name], truth[name])[0] for name in found}


def coverage_between(correlation, questions, ways, repetitions, seed=0, spread=0.5):
    """Coverage of each coefficient between ways, of what studies with as many questions show on average.

    Args:
        correlation: of the true means of ways.
        spread: the standard deviation of ways' true means, in standard deviations of answers.
    """
    generator = np.random.default_rng(seed)
    question, way, cluster = labels(questions, ways)
    true = [spread * one for one in pairs(np.random.default_rng(7), ways, correlation)]
    studies = np.repeat(np.arange(2000), ways)
    noise = generator.standard_normal((2, len(studies))) / math.sqrt(questions)
    shown = by_group(*(np.tile(means, 2000) + one for means, one in zip(true, noise, strict=True)), studies)
    found = {name: [] for name in COEFFICIENTS}
    for _ in range(repetitions):
        scores = [means[way] + generator.standard_normal(len(way)) for means in true]
        for name, one in between_ways(Answers(*scores, question, way, cluster)).items():
            found[name].append(one)
    return {name: covered(found[name], float(shown[name].mean()))[0] for name in COEFFICIENTS}


JUDGES: dict[str, Callable] = {
    "scale of 1 to 5": lambda generator, truth: np.clip(np.round(3 + truth + 0.7 * generator.standard_normal(truth.shape)), 1, 5),
    "right or wrong": lambda generator, truth: (truth + 0.7 * generator.standard_normal(truth.shape) > 0).astype(float),
    "mostly right": lambda generator, truth: (truth + 0.7 * generator.standard_normal(truth.shape) > -1.6).astype(float),
    "useless judge": lambda generator, truth: generator.standard_normal(truth.shape),
}


def coverage_of_corrected(kind, rated, judged, per_cluster, repetitions, seed=0, paired=False):
    """Coverage of a mean that people correct, of the rated alone, and how many ratings the judge is worth on average.

    Args:
        kind: of the judge, and of the ratings (a key of `JUDGES`).
        paired: of the difference of two ways instead.
    """
    generator = np.random.default_rng(seed)
    people = JUDGES["scale of 1 to 5" if kind == "useless judge" else kind]
    clusters = np.arange(judged) // per_cluster
    gain = 0.3 if paired else 0.0

    def draw(n, cluster):
        common = generator.standard_normal(cluster.max() + 1)[cluster]
        own = math.sqrt(0.5) * common + math.sqrt(0.5) * generator.standard_normal(n)
        own = own if per_cluster > 1 else generator.standard_normal(n)
        sides = [own, 0.7 * own + 0.7 * generator.standard_normal(n) - gain] if paired else [own]
        ratings = [people(generator, one) for one in sides]
        judgements = [JUDGES[kind](generator, one) for one in sides]
        return [one[0] - one[1] if paired else one[0] for one in (ratings, judgements)]

    large = np.arange(200_000)
    truth = float(draw(len(large), large)[0].mean())
    found = []
    for _ in range(repetitions):
        ratings, judgements = draw(judged, clusters)
        # People rate whole clusters.
        chosen = np.isin(clusters, generator.permutation(judged // per_cluster)[: rated // per_cluster])
        found.append(corrected_mean(np.where(chosen, ratings, np.nan), judgements, clusters))
    worth = [one.worth for one in found if math.isfinite(one.worth)]
    corrected, there = covered([one.mean for one in found], truth)
    return {
        "corrected": corrected,
        "rated alone": covered([one.people for one in found], truth)[0],
        "worth": float(np.median(worth)),
        "there": there,
    }


def coverage_of_equal_length(questions, per_cluster, longer, repetitions, seed=0):
    """Coverage of a difference of 0.1 at equal length, where length alone brings more.

    Args:
        longer: how much longer the answers are on average, in standard deviations.
    """
    generator = np.random.default_rng(seed)
    clusters = np.arange(questions) // per_cluster
    found = []
    for _ in range(repetitions):
        common = generator.standard_normal(clusters.max() + 1)[clusters]
        more = longer + generator.standard_normal(questions)
        unit = math.sqrt((more**2).mean())
        noise = 0.2 * (math.sqrt(0.5) * common + math.sqrt(0.5) * generator.standard_normal(questions))
        found.append(at_equal_length(0.1 + 0.15 * np.tanh(more / unit) + noise, 100 * more, clusters))
    return {
        "at equal length": covered([one.at_equal_length for one in found], 0.1)[0],
        "as it is": covered([one.difference for one in found], 0.1)[0],
    }


def coverage_of_agreement(questions, per_cluster, kind, repetitions, seed=0):
    """Coverage of kappa and alpha of a judge and a person who rate alike as often as `JUDGES` do."""
    generator = np.random.default_rng(seed)
    clusters = np.arange(questions) // per_cluster
    level = "ordinal" if kind == "scale of 1 to 5" else "nominal"

    def draw(n, cluster):
        truth = generator.standard_normal(cluster.max() + 1)[cluster] if per_cluster > 1 else generator.standard_normal(n)
        return [JUDGES[kind](generator, truth + 0.3 * generator.standard_normal(n)) for _ in range(2)]

    large = np.arange(100_000)
    truth = agreement_of_two(*draw(len(large), large // per_cluster), np.zeros(len(large)), level)
    found = [agreement_of_two(*draw(questions, clusters), clusters, level) for _ in range(repetitions)]
    return {name: covered([getattr(one, name) for one in found], getattr(truth, name).value)[0] for name in ("kappa", "alpha")}


def show(title, rows):
    """Print a table in Markdown, row by row."""
    print(f"\n{title}\n")
    for place, (cell, values) in enumerate(rows):
        if not place:
            head = [*cell, *values]
            print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        texts = [f"{value:.3f}" if name != "worth" else f"{value:.0f}" for name, value in values.items()]
        print("| " + " | ".join([*map(str, cell.values()), *texts]) + " |", flush=True)


def grid(**axes):
    """All combinations of values, as keyword arguments."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def together(names, *values):
    """Keyword arguments that vary together."""
    return [dict(zip(names.split(), one, strict=True)) for one in values]


def crossed(*lists):
    """All combinations of keyword arguments."""
    return [{key: value for one in combination for key, value in one.items()} for combination in itertools.product(*lists)]


SIZES = "questions per_cluster"


TABLES = {
    "Over all answers": (
        coverage_over_all,
        crossed(
            grid(correlation=[0.0, 0.5, 0.9]),
            together("questions ways intraclass", (16, 1, 0.0), (16, 6, 0.5), (50, 1, 0.0), (50, 6, 0.5), (200, 6, 0.5)),
        ),
    ),
    "Over all answers, with many ties": (
        coverage_over_all,
        crossed(grid(correlation=[0.0, 0.5, 0.9], questions=[16, 50, 200]), [{"ways": 4, "intraclass": 0.5, "rounded": 0}]),
    ),
    "Within questions": (
        coverage_within,
        crossed(
            grid(correlation=[0.0, 0.5, 0.9], ways=[3, 8]),
            together(SIZES, (16, 1), (50, 1), (200, 1), (200, 10)),
        ),
    ),
    "Between ways": (
        coverage_between,
        crossed(grid(correlation=[0.0, 0.8], questions=[16, 50, 200]), together("ways spread", (5, 0.5), (12, 0.5), (12, 0.1))),
    ),
    "Means that people correct": (
        coverage_of_corrected,
        crossed(
            grid(kind=list(JUDGES)),
            together("rated judged per_cluster", (16, 100, 1), (30, 100, 1), (50, 200, 1), (100, 1000, 1), (100, 1000, 5)),
            grid(paired=[False, True]),
        ),
    ),
    "Differences at equal length": (
        coverage_of_equal_length,
        crossed(together(SIZES, (16, 1), (50, 1), (200, 1), (200, 10)), grid(longer=[0.0, 1.0, 2.0])),
    ),
    "Kappa and alpha": (
        coverage_of_agreement,
        crossed(grid(kind=list(JUDGES)[:3]), together(SIZES, (16, 1), (50, 1), (200, 1), (200, 10))),
    ),
}


def main(repetitions, wanted):
    for title, (function, cells) in TABLES.items():
        if not wanted or title in wanted:
            show(title, ((cell, function(**cell, repetitions=repetitions)) for cell in cells))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000, sys.argv[2:])
