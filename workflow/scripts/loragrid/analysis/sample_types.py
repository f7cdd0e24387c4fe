"""Comparisons of runs that differ in the sample type that they were trained on: same test examples, same references."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.columns import ASKED, AXES, EVALUATED, INTEGERS, METRIC, MODEL, SIGNS
from loragrid.analysis.corpus import corpora
from loragrid.analysis.settings import FactsByScorer
from loragrid.analysis.summaries import counted, lower_is_better
from loragrid.scoring.registry import corpus_metrics

PAIR = ["trained_sample_type", "other_sample_type"]
"""The sample type that one of two runs was trained on, and that of the other."""


ALIKE = [*EVALUATED, "trained_task", "mix", "nb_samples", "config", "loss_computation", *ASKED]
"""What two compared runs have in common, besides their seed."""


OUTCOME = ["mean", "other_mean", "mean_difference", "standard_error", "p_value", "n", *SIGNS, "seeds"]


MATCHED = [*ALIKE, *PAIR, *METRIC, *OUTCOME]
"""The columns of the table with a row for each pair of setups."""


OVERALL = ["base_model", "sample_type", *PAIR, *METRIC, "tasks", *OUTCOME]
"""The columns of the table with a row for each pair of sample types."""


TRIALS, TRIALS_OF_CORPUS = 9999, 1999
"""How often results are exchanged at random: for means, and for metrics over all examples together, which cost more."""


EXACT = 12
"""With so many texts or fewer, every way to exchange results is tried."""


Key = tuple[Any, ...]
"""Values of some columns."""


Texts = Mapping[tuple[str, str, str], str]
"""What each test example is about, by task, sample type and id."""


class Matched(NamedTuple):
    """The results of two runs on the same test examples, in one metric, which is computed from sums of counts."""

    texts: list[str]
    """What each example is about. Examples about the same text are not independent."""
    own: np.ndarray
    """The counts of one run: a row per example."""
    other: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]
    """The metric for each row of sums."""
    is_mean: bool
    """Whether each example has a value of its own, which is its first count."""

    @property
    def values(self) -> tuple[float, float]:
        """The metric of both runs."""
        both = self.value(np.stack([self.own.sum(0), self.other.sum(0)]))
        return float(both[0]), float(both[1])

    @property
    def influence(self) -> np.ndarray:
        """What each example adds to the error of the difference, by the jackknife."""
        n = len(self.texts)
        without = self.value(self.own.sum(0) - self.own) - self.value(self.other.sum(0) - self.other)
        return np.asarray((without.mean() - without) * (n - 1) / n)

    def exchanged(self, moved: np.ndarray) -> np.ndarray:
        """The difference, had the two runs exchanged some results.

        Args:
            moved: for each trial, what that adds to the sums of the one run, and takes from those of the other.
        """
        return np.asarray(self.value(self.own.sum(0) + moved) - self.value(self.other.sum(0) - moved))


def comparable_runs(summary: pd.DataFrame) -> pd.DataFrame:
    """The axes of runs that have a counterpart: trained alike on another sample type, and asked alike on the same data set."""
    runs = summary[AXES].drop_duplicates(MODEL).dropna(subset="trained_sample_type")
    return runs[runs.groupby(ALIKE, sort=False)["trained_sample_type"].transform("nunique") > 1]


def compare_sample_types(
    scores: pd.DataFrame, runs: pd.DataFrame, texts: Texts, facts: FactsByScorer, metric: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How runs do beside runs that were trained alike on another sample type.

    Args:
        runs: as `comparable_runs` gives them.
        metric: the one that is tested, as `scorer/metric`; others have no `p_value`.

    Returns:
        A row for each pair of setups, evaluated data set and metric. And a row for each pair of sample types in the tested
        metric: over all tasks that runs were trained for, each with the setups that have the most training examples.
    """
    rank = {name: i for i, name in enumerate(dict.fromkeys(runs["trained_sample_type"]))}
    in_order = runs.sort_values("trained_sample_type", key=lambda names: names.map(rank), kind="stable")
    of_runs = in_order.merge(scores, on=MODEL)
    matched = dict([*_means(of_runs, texts, facts), *_corpora(of_runs, texts, facts)]) if len(runs) else {}
    rows = [(*key, *outcome([pairs], "/".join(key[-2:]) == metric)) for key, pairs in matched.items()]
    tested = {key: pairs for key, pairs in matched.items() if "/".join(key[-2:]) == metric}
    return _table(rows, MATCHED, facts), _table(list(_overall(tested)), OVERALL, facts)


def _table(rows: Sequence[tuple[Any, ...]], columns: Sequence[str], facts: FactsByScorer) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    integers = {name: dtype for name, dtype in INTEGERS.items() if name in table}
    table = table.astype(integers | dict.fromkeys([*SIGNS, "n", "seeds"], "Int64"))
    lower = pd.Series(lower_is_better(table, facts), index=table.index, dtype=bool)
    gains, losses = table["better"], table["worse"]
    return table.assign(better=gains.where(~lower, losses), worse=losses.where(~lower, gains), lower_is_better=lower)


def _means(of_runs: pd.DataFrame, texts: Texts, facts: FactsByScorer) -> Iterator[tuple[Key, list[Matched]]]:
    """The matched runs in each metric that has a value for each example."""
    values = counted(of_runs, facts).groupby([*AXES, *METRIC, "id"], sort=False)["value"].mean().reset_index()
    for key, group in values.groupby([*ALIKE, *METRIC], sort=False):
        by_run = {run: one.set_index("id")["value"] for run, one in group.groupby([PAIR[0], "seed"], sort=False)}
        for pair, of_seeds in _by_pair(by_run):
            pairs = [
                Matched(_texts_of(key, own.index, texts), _with_ones(own), _with_ones(other), _mean, is_mean=True)
                for own, other in of_seeds
            ]
            yield (*key[:-2], *pair, *key[-2:]), pairs


def _with_ones(values: pd.Series) -> np.ndarray:
    return np.column_stack([values.to_numpy(dtype=float), np.ones(len(values))])


def _mean(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1])


def _corpora(of_runs: pd.DataFrame, texts: Texts, facts: FactsByScorer) -> Iterator[tuple[Key, list[Matched]]]:
    """The matched runs in each metric over all examples together."""
    by_setup: dict[Key, dict[Key, pd.Series]] = {}
    for key, parts in corpora(of_runs, [*ALIKE, "scorer", PAIR[0], "seed"], facts):
        by_setup.setdefault(key[:-2], {})[key[-2:]] = parts
    for key, by_run in by_setup.items():
        scorer_type = facts[str(key[-1])].type
        for pair, of_seeds in _by_pair(by_run):
            for metric in corpus_metrics(scorer_type, {}):
                pairs = [
                    Matched(_texts_of(key, own.index, texts), *_over_all(own, other, scorer_type, metric), is_mean=False)
                    for own, other in of_seeds
                ]
                yield (*key[:-1], *pair, key[-1], metric), pairs


def _over_all(
    own: pd.Series, other: pd.Series, scorer_type: str, metric: str
) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The counts of two runs in common columns, and what makes a metric of their sums."""
    both = pd.DataFrame([*own, *other]).fillna(0.0)
    names, counts = list(both.columns), both.to_numpy()

    def value(sums: np.ndarray) -> np.ndarray:
        return np.array([corpus_metrics(scorer_type, dict(zip(names, row, strict=True)))[metric] for row in sums])

    return counts[: len(own)], counts[len(own) :], value


def _by_pair(
    by_run: Mapping[Key, pd.Series],
) -> Iterator[tuple[tuple[str, str], list[tuple[pd.Series, pd.Series]]]]:
    """The results of both runs on the examples that both have, for each pair of sample types, and each seed of both.

    Args:
        by_run: results by example, by sample type and seed.
    """
    for own, other in combinations(dict.fromkeys(sample_type for sample_type, _ in by_run), 2):
        seeds = [seed for sample_type, seed in by_run if sample_type == own and (other, seed) in by_run]
        common = {seed: by_run[own, seed].index.intersection(by_run[other, seed].index) for seed in seeds}
        found = [(by_run[own, seed].loc[ids], by_run[other, seed].loc[ids]) for seed, ids in common.items() if len(ids)]
        if found:
            yield (own, other), found


def _texts_of(key: Key, ids: pd.Index, texts: Texts) -> list[str]:
    """What examples of an evaluated data set are about. One that is not known is about itself."""
    _, *dataset = key[: len(EVALUATED)]
    return [texts.get((*dataset, one), "/".join((*dataset, one))) for one in ids]


def _overall(tested: Mapping[Key, list[Matched]]) -> Iterator[tuple[Any, ...]]:
    """The rows of the table over all tasks and setups."""
    keys = pd.DataFrame(list(tested), columns=[*ALIKE, *PAIR, *METRIC]).astype({"nb_samples": "Int64"})
    keys = keys[keys["task"] == keys["trained_task"]]
    largest = keys.groupby([*EVALUATED, *PAIR])["nb_samples"].transform("max")
    for key, group in keys[keys["nb_samples"] == largest].groupby(["base_model", "sample_type", *PAIR, *METRIC], sort=False):
        of_tasks: dict[str, list[Matched]] = {}
        for setup in group.itertuples(index=False, name=None):
            of_tasks.setdefault(setup[ALIKE.index("task")], []).extend(tested[setup])
        seeds = max(len(tested[setup]) for setup in group.itertuples(index=False, name=None))
        yield (*key, ", ".join(of_tasks), *outcome(list(of_tasks.values()), is_tested=True)[:-1], seeds)


def outcome(of_tasks: Sequence[Sequence[Matched]], is_tested: bool) -> tuple[Any, ...]:
    """The values of `OUTCOME`: of the mean over tasks, each of which is a mean over matched runs.

    Examples about the same text are exchanged together, and their errors added up, also those of different tasks.
    """
    weighted = [(1 / len(of_tasks) / len(pairs), pair) for pairs in of_tasks for pair in pairs]
    place = {text: i for i, text in enumerate(dict.fromkeys(text for _, pair in weighted for text in pair.texts))}

    def by_text(pair: Matched, of_examples: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(place), *of_examples.shape[1:]))
        np.add.at(sums, [place[text] for text in pair.texts], of_examples)
        return sums

    mean, other_mean = (sum(weight * pair.values[i] for weight, pair in weighted) for i in (0, 1))
    influence = np.sum([weight * by_text(pair, pair.influence) for weight, pair in weighted], axis=0)
    freedom = len(place) - len(of_tasks)
    error = float(np.sqrt(len(place) / freedom * (influence**2).sum())) if freedom > 0 else np.nan
    moves = [by_text(pair, pair.other - pair.own) for _, pair in weighted]

    def exchanged(flips: np.ndarray) -> np.ndarray:
        differences = [weight * pair.exchanged(flips @ moved) for (weight, pair), moved in zip(weighted, moves, strict=True)]
        return np.asarray(np.sum(differences, axis=0))

    trials = TRIALS if all(pair.is_mean for _, pair in weighted) else TRIALS_OF_CORPUS
    p_value = exchange_test(exchanged, mean - other_mean, len(place), trials) if is_tested else np.nan
    n = sum(max(len(pair.texts) for pair in pairs) for pairs in of_tasks)
    return mean, other_mean, mean - other_mean, error, p_value, n, *_signs(of_tasks), max(map(len, of_tasks))


def _signs(of_tasks: Sequence[Sequence[Matched]]) -> list[int | None]:
    """How many examples have a positive, no and a negative difference, as a mean over matched runs with the same examples."""
    if any(not pair.is_mean or len(pair.texts) != len(pairs[0].texts) for pairs in of_tasks for pair in pairs):
        return [None] * 3
    gains = np.concatenate([np.mean([(pair.own - pair.other)[:, 0] for pair in pairs], axis=0) for pairs in of_tasks])
    return [int((gains > 0).sum()), int((gains == 0).sum()), int((gains < 0).sum())]


def exchange_test(exchanged: Callable[[np.ndarray], np.ndarray], difference: float, nb_texts: int, trials: int = TRIALS) -> float:
    """How often a difference at least as large comes about if the results of both runs are exchanged at random texts.

    That is approximate randomisation (Noreen 1989), two-sided; for a mean, it is the sign-flip test. With few texts, it is exact.

    Args:
        exchanged: the difference in each of some trials, from a row of flips a trial: 1 for a text whose results are exchanged.
    """
    if np.isnan(difference):
        return np.nan
    least = abs(difference) * (1 - 1e-9)
    if nb_texts <= EXACT:
        every = np.arange(2**nb_texts)[:, None] >> np.arange(nb_texts) & 1
        return float((np.abs(exchanged(every.astype(float))) >= least).mean())
    generator, extreme = np.random.default_rng(0), 0
    chunk = max(1, 2**18 // nb_texts)
    for start in range(0, trials, chunk):
        flips = generator.integers(0, 2, (min(chunk, trials - start), nb_texts), dtype=np.int8).astype(float)
        extreme += int((np.abs(exchanged(flips)) >= least).sum())
    return (1 + extreme) / (1 + trials)
