"""What ways are chosen by: the results of each run or base model on validation data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from loragrid.analysis.columns import RUN
from loragrid.analysis.contrasts import ways as contrasts
from loragrid.analysis.contrasts.matrices import Measured, measure
from loragrid.analysis.contrasts.ways import Members
from loragrid.analysis.reading import read_predictions, read_scores
from loragrid.analysis.related_rows import refuse_unrelated_rows
from loragrid.analysis.selection.candidates import Way
from loragrid.analysis.selection.results import has_result, results_of
from loragrid.analysis.selection.settings import VALIDATION_LOSS
from loragrid.analysis.settings import FactsByScorer
from loragrid.analysis.statistics.jackknife import value_of
from loragrid.analysis.statistics.results import Results, Sums
from loragrid.data.decontamination import read_leaks
from loragrid.layout import VALIDATION, Dataset, Run
from loragrid.runtime.manifests import read_json

Paths = Sequence[str | Path]


class Validated(NamedTuple):
    """The result of a run, a base model or a way on validation data."""

    value: float
    n: int | None
    """Validation examples that count; None where a training does not say."""
    asked: str = ""
    """What tells these examples from others."""


class Validation(NamedTuple):
    """The results on validation data."""

    measured: Sequence[Measured]
    """The scores of answers to validation examples."""
    by_loss: Mapping[tuple[str, str], Validated]
    """By base model and name of the run."""
    ways: Mapping[contrasts.Way, Members]
    """The ways that have answered validation examples, with their evaluations on test examples."""

    def of(self, by: str, dataset: Dataset, ways: Mapping[Way, Members]) -> dict[Way, Validated | None]:
        """The result of each way: the mean over its seeds; None if one has none. By a metric, on the examples that all have.

        Args:
            by: what decides, as in the configuration.
            ways: that compete with each other.
        """
        if by == VALIDATION_LOSS:
            of_runs = {way: [self.by_loss.get((key[0], key[3])) for key in members.values()] for way, members in ways.items()}
            return {way: mean_over_seeds(runs) for way, runs in of_runs.items()}
        measured = next((one for one in self.measured if (one.name, one.task, one.sample_type) == (by, *dataset)), None)
        there = {way: members for way, members in ways.items() if measured is not None and has_result(measured, members)}
        results = results_of(measured, there) if measured is not None and there else {}
        return {way: _validated(results.get(way)) if way in there else None for way in ways}


def _validated(results: Results | Sums | None) -> Validated:
    return Validated(math.nan, 0) if results is None else Validated(value_of(results), len(results.clusters))


def read_validation(
    predictions: Paths, scores: Paths, asked: Paths, leaks: Paths, course: pd.DataFrame, manifests: Paths, facts: FactsByScorer
) -> Validation:
    """The results of all runs and base models on validation data.

    Args:
        predictions, scores: files about validation examples.
        asked: the validation parts of data sets.
        leaks: for each data set, the file that lists which of its examples are in a test set.
        course: the loss curves of the trainings.
        manifests: of the trainings.

    Raises:
        DamagedError: naming a file that does not fit the others.
    """
    rows, answers = read_scores(scores), read_predictions(predictions)
    refuse_unrelated_rows(answers, rows, scores, asked, facts, VALIDATION)
    measured = measured_to_choose(rows, facts, left_out_of_choice(leaks))
    return Validation(measured, validated_by_loss(course, manifests), contrasts.ways_of(answers))


def left_out_of_choice(leaks: Iterable[str | Path]) -> set[tuple[str, str, str]]:
    """The validation examples that a test set of the grid asks too: they decide on nothing. By task, sample type and id.

    Args:
        leaks: for each data set, the file that lists which of its examples are in a test set.
    """
    return {(*Dataset.of(path), id_) for path in leaks for id_ in read_leaks(path)[VALIDATION].by_question}


def measured_to_choose(scores: pd.DataFrame, facts: FactsByScorer, left_out: set[tuple[str, str, str]]) -> list[Measured]:
    """The results in each metric on the validation examples that may decide.

    Args:
        scores: of validation examples.
        left_out: as `left_out_of_choice` gives it.
    """
    of_examples = pd.Series(list(scores[["task", "sample_type", "id"]].itertuples(index=False, name=None)), index=scores.index)
    return list(measure(scores[~of_examples.isin(left_out).astype(bool)], {}, facts, {}))


def validated_by_loss(course: pd.DataFrame, manifests: Iterable[str | Path]) -> dict[tuple[str, str], Validated]:
    """The validation loss of each run with the weights that its training kept, by base model and name, if it is a number.

    Those are the weights of the last step, or (`keep: best`) those with the lowest validation loss.

    Args:
        course: the loss curves.
        manifests: of the trainings.
    """
    by_run = {tuple(map(str, key)): rows["validation_loss"] for key, rows in course.groupby(RUN, sort=False)}
    found = {}
    for path in manifests:
        manifest = read_json(path, ["run", "config", "fingerprints"])
        run = Run(**manifest["run"])
        curve = by_run.get((run.base_model, run.task, run.sample_type, run.name))
        if curve is None:
            continue
        # Trainings validate after their last step, if at all. Its loss may be no number: then no earlier one takes its place.
        value = curve.min() if manifest["config"].get("keep") == "best" else curve.iloc[-1]
        if not pd.isna(value):
            nb_examples = manifest.get("examples", {}).get(VALIDATION)
            found[run.base_model, run.name] = Validated(float(value), nb_examples, manifest["fingerprints"][VALIDATION])
    return found


def mean_over_seeds(of_runs: Iterable[Validated | None]) -> Validated | None:
    """The result of a way: the mean over its runs. None if one of them has none."""
    runs = list(of_runs)
    known = [run for run in runs if run is not None and not math.isnan(run.value)]
    if len(known) < len(runs) or not known:
        return None
    counts = [run.n for run in known if run.n is not None]
    asked = "/".join(dict.fromkeys(sorted(run.asked for run in known)))
    return Validated(sum(run.value for run in known) / len(known), min(counts, default=None), asked)
