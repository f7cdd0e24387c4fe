"""What a reader must know before believing a number: each warning with what it is about, and where it is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from loragrid.analysis.columns import ASKED, EVALUATED
from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.findings import lost_in_thoughts, strong_baselines
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.result_tables import label_ways, metric_names
from loragrid.layout import BASELINE

MUCH_CUT_OFF = 0.1
"""The share of answers that reached the length limit from which a way is named: so many may change what is compared."""

RELIABLE = 2 / 3
"""Krippendorff's alpha below which he advises against even tentative conclusions (2004, Content Analysis, chapter 11)."""

MOST_ITEMS = 6
"""How many cases of a warning are named; the others are counted."""


class Caution(NamedTuple):
    """A warning."""

    what: str
    why: str
    """What it means, or what to do about it."""
    items: Sequence[str]
    """The cases."""
    more: int
    """How many cases are not named."""
    place: str
    """The section where it is seen."""


def caution(what: str, why: str, items: Iterable[str], place: str) -> Iterator[Caution]:
    """A warning, if it has any cases."""
    cases = list(items)
    if cases:
        yield Caution(what, why, cases[:MOST_ITEMS], max(len(cases) - MOST_ITEMS, 0), place)


def cautions_about_data(
    state: Sequence[Mapping[str, Any]],
    leaking: Sequence[Mapping[str, Any]],
    showing: Sequence[Mapping[str, Any]],
    missing_answers: Sequence[Mapping[str, Any]],
    checks: Sequence[Mapping[str, Any]],
) -> Iterator[Caution]:
    """What is missing, leaks, and models that failed their checks.

    Args:
        state: as `grid_state` gives it.
        leaking: as `leaking_mixes` gives it.
        showing: as `leaking_prompts` gives it.
        missing_answers: as the function of this name gives it.
        checks: as `read_checks` gives it.
    """
    yield from caution(
        "This grid is not complete.",
        "Files are missing; what is shown are the results so far.",
        (f"{tier['tier']}: {len(tier['missing']):,} of {tier['expected']:,} files" for tier in state if tier["missing"]),
        "grid",
    )
    yield from caution(
        "Test examples were trained on.",
        "These mixes were made before the test sets came into the grid, or by an earlier version. Delete a mix's folder to have "
        "it made again without them, and its runs trained again.",
        (f"{one['mix']}: examples of {', '.join(one['tests'])}" for one in leaking),
        "data",
    )
    yield from caution(
        "Prompts show test examples.",
        "An earlier version chose these demonstrations. Delete a file to have them chosen again, and the answers made again.",
        (f"{one['file']}: {one['prompts']} of {one['of']} prompts" for one in showing),
        "data",
    )
    yield from caution(
        "Predictions made elsewhere lack answers.",
        "These count as empty answers.",
        (
            f"{one['task']} {one['sample_type']}, {one['run']}: {one['missing']} of {one['examples']} answers"
            for one in missing_answers
        ),
        "results",
    )
    yield from caution(
        "Models did not pass their checks.",
        "What they answer cannot be relied on.",
        (
            f"{one['base_model']}, {one['run']}: {', '.join(failed)}"
            for one in checks
            if (failed := [name for name, passed in one["checks"].items() if passed is False])
        ),
        "how",
    )


def cautions_about_results(
    ways: pd.DataFrame,
    contrasts: pd.DataFrame,
    summary: pd.DataFrame,
    thoughts: pd.DataFrame,
    agreement: pd.DataFrame,
    main: MainMetrics,
) -> Iterator[Caution]:
    """What makes the results say less than they seem to.

    Args:
        ways, contrasts, summary: the tables of ways, of contrasts and of scores.
        thoughts: as `lost_in_thoughts` needs predictions.
        agreement: the table of scorers beside people.
    """
    yield from caution(
        "A trivial baseline does as well as every model.",
        "What the models learnt may be worth nothing here.",
        (
            f"{one['task']}, references {one['sample_type']}: {one['baseline'].removesuffix(' (baseline)')} scores "
            f"{one['mean']:.3f} in {one['metric']}, the best model {one['best_model']:.3f}"
            for one in strong_baselines(summary, main)
        ),
        "results",
    )
    yield from caution(
        "Some models did not get beyond their thoughts.",
        "These answers are empty, and count as such; a larger max_new_tokens may give room for them.",
        (
            f"{one['task']} {one['sample_type']}, {one['label']} ({one['base_model']}): "
            f"{one['empty']} of {one['answers']} answers"
            for one in lost_in_thoughts(thoughts)
        ),
        "answers",
    )
    yield from cut_off(ways)
    yield from failed_scores(ways)
    yield from doubtful_judges(agreement)
    yield from few_seeds(contrasts, main)
    yield from too_little(contrasts)


def cut_off(ways: pd.DataFrame) -> Iterator[Caution]:
    """Ways whose answers were often cut off."""
    # The same answers stand in the rows of all metrics.
    answers = ways[ways["base_model"] != BASELINE].drop_duplicates([*EVALUATED, "way", *ASKED])
    shares = (answers["nb_cut_off"] / answers["nb_answers"]).where(answers["nb_answers"] > 0, 0.0)
    many = answers.assign(label=label_ways(answers), share=shares)[shares >= MUCH_CUT_OFF]
    many = many.sort_values("share", ascending=False, kind="stable")
    yield from caution(
        "Answers were cut off at the length limit.",
        "A difference may be one of length; a larger max_new_tokens gives room.",
        (f"{row.task}, {row.label}: {row.nb_cut_off} of {row.nb_answers} answers" for row in many.itertuples()),
        "costs",
    )


def failed_scores(ways: pd.DataFrame) -> Iterator[Caution]:
    """Metrics with scores that failed."""
    counts = ways.assign(name=metric_names(ways)).groupby("name", sort=False)[["nb_failed", "nb_answers"]].sum()
    yield from caution(
        "Some scores failed.",
        "They count as the worst value where there is one, and else are left out.",
        (f"{name}: {row.nb_failed:,} of {row.nb_answers:,}" for name, row in counts.iterrows() if row.nb_failed),
        "results",
    )


def doubtful_judges(agreement: pd.DataFrame) -> Iterator[Caution]:
    """Judges that do not say what people say."""
    judges = agreement[(agreement["kind"] == "judge") & (agreement["alpha"] < RELIABLE)]
    yield from caution(
        "A judge disagrees with people.",
        f"Krippendorff's alpha is below {RELIABLE:.2f}: what rests on this judge is not yet about what people would say.",
        (
            f"{row.task}: {row.scorer}/{row.metric} and {row.people}/{row.criterion}, alpha {row.alpha:.2f}"
            for row in judges.itertuples()
        ),
        "scorers",
    )


def few_seeds(contrasts: pd.DataFrame, main: MainMetrics) -> Iterator[Caution]:
    """Verdicts that are about single trainings."""
    rows = main.rows(contrasts[contrasts["axis"] == "training"])
    # A kind is judged on each data set, and in each way of asking; what it rests on is the same training.
    seeds = rows[rows["mix"].notna() & (rows["tasks"] == "")].groupby(["base_model", "way"], sort=False)["seeds"].max()
    trained = seeds.reset_index()
    single = trained[trained["seeds"] == 1]
    if len(single):
        is_all = len(single) == len(trained)
        share = "Every kind of run was" if is_all else f"{len(single)} of {len(trained)} kinds of run were"
        yield Caution(
            f"{share} trained with one seed.",
            "Verdicts on them are about these very trainings; another seed may give another one.",
            [],
            0,
            "comparisons",
        )


def too_little(contrasts: pd.DataFrame) -> Iterator[Caution]:
    """Declared contrasts that there are too little data for."""
    declared = contrasts[contrasts["family"] != EXPLORATORY]
    lacking = declared[declared["verdict"] == ""]
    if len(lacking):
        yield Caution(
            f"There is too little data for {len(lacking)} of {len(declared)} declared comparisons.",
            "They have no verdict. More test questions are needed.",
            [],
            0,
            "comparisons",
        )
