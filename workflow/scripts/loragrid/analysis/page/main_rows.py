"""The main table of the page: a row for each way and data set, in the main metric of its task; and the rows of its seeds."""

from __future__ import annotations

import pandas as pd

from loragrid.analysis.columns import ASKED, METRIC
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.forgetting import by_way
from loragrid.analysis.labels import label_runs
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.configs import Hyperparameters, varying
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import AXES_IN_WORDS, Words
from loragrid.layout import BASE, BASELINE

KEY = ["base_model", "task", "sample_type", "way", *ASKED]
"""What names a way on a data set."""

WORDS = {
    "metric_name": Words("metric", "code", "The main metric of the task.", None, True),
    "difference": Words("against base", "signed", "From the base model, asked alike. Coloured only where it is decided.", 3),
    "verdict": Words("verdict", "verdict", "On the difference from the base model; verdicts of its family hold together."),
    "between_seeds": Words("between seeds", "number", "Standard deviation of the means of single trainings.", 3),
    "cut_off": Words("cut off", "percent", "Share of answers that reached the length limit."),
    "forgotten": Words("forgotten", "signed", "How much larger the loss of general language became, in nats a token.", 3),
    "other_change": Words("on other tasks", "signed", "Mean difference from the base model on data sets of other tasks.", 3),
}

FIRST = ["label", "base_model", "task", "sample_type", "metric_name", "mean", "difference", "verdict", "seeds", "between_seeds"]
FORGETTING = ["forgotten", "other_change"]
THEN = ["n", "nb_failed", "cut_off"]

HIDDEN = ["standing", "baseline", "baseline_mean", "clusters", "standard_error", "lower_is_better", *TRAINED, *ASKED, "way"]


def main_tables(
    ways: pd.DataFrame,
    contrasts: pd.DataFrame,
    scores: pd.DataFrame,
    main: MainMetrics,
    hyperparameters: Hyperparameters,
    forgetting: pd.DataFrame,
) -> dict[str, PageTable]:
    """The tables `main` and `main_seeds`; a row of the second is shown below its way on demand.

    Args:
        ways, contrasts, scores, forgetting: as in `tables/`.
    """
    rows = _base_first(main.rows(ways))
    rows = rows.merge(_against_base(contrasts), on=[*KEY, *METRIC], how="left")
    rows = rows.merge(_between_seeds(scores, main), on=KEY, how="left")
    rows = rows.merge(by_way(forgetting), on=["base_model", "way"], how="left")
    answers = rows["nb_answers"].astype("Float64")
    settings = [name for name in varying(hyperparameters) if name not in rows.columns]
    rows = rows.assign(
        label=way_labels(rows),
        metric_name=rows["scorer"] + "/" + rows["metric"],
        cut_off=rows["nb_cut_off"] / answers.where(answers > 0),
        **{name: [hyperparameters.get(str(config), {}).get(name, "") for config in rows["config"]] for name in settings},
    )
    # A column without a single failure tells nothing.
    then = [name for name in THEN if name == "n" or (rows[name].fillna(0) > 0).any()]
    first = [*FIRST, *(name for name in FORGETTING if rows[name].notna().any()), *then, *settings]
    ends = ["low", "high", "difference_low", "difference_high"]
    kept = list(dict.fromkeys([*first, *THEN, *HIDDEN, *ends]))
    table = page_table(
        "main",
        "All ways",
        rows[kept],
        first,
        "Each task in its main metric, with 95 % intervals. Means of different metrics are not comparable with each other.",
        WORDS | {name: Words(name.replace("_", " "), "text", "A setting in which the configs differ.") for name in settings},
        {"mean": ("low", "high"), "difference": ("difference_low", "difference_high", "verdict")},
        unfold="main_seeds",
        key=KEY,
    )
    return {"main": table, "main_seeds": _of_seeds(scores, main)}


def _base_first(ways: pd.DataFrame) -> pd.DataFrame:
    """Of each data set its base models, then its runs, then answers from elsewhere, then trivial baselines."""
    is_run, is_baseline = ways["trained_task"].notna(), ways["base_model"] == BASELINE
    place = 2 - 2 * (ways["way"] == BASE) - is_run + is_baseline
    dataset = ways.groupby(["task", "sample_type"], sort=False).ngroup()
    return ways.assign(dataset=dataset, place=place).sort_values(["dataset", "place"], kind="stable", ignore_index=True)


def way_labels(rows: pd.DataFrame) -> list[str]:
    """A short name for each way: the axes in which they differ, but the data set and base model."""
    return label_runs(rows.assign(run=rows["way"], seed=0))


def _against_base(contrasts: pd.DataFrame) -> pd.DataFrame:
    """The differences from base models on single tasks, with their verdicts."""
    rows = contrasts[
        (contrasts["axis"] == "training") & (contrasts["kind"] == "difference") & (contrasts["tasks"].fillna("") == "")
    ]
    named = rows.rename(columns={"low": "difference_low", "high": "difference_high"})
    return named[[*KEY, *METRIC, "difference", "difference_low", "difference_high", "verdict"]]


def _trained(scores: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """The results of single trainings in main metrics, with the name of the way."""
    rows = main.rows(scores[scores["trained_task"].notna()])
    way = [str(run).rpartition("__seed")[0] or run for run in rows["run"]]
    # Without any row the names would be numbers, which match none.
    return rows.assign(way=pd.Series(way, index=rows.index, dtype=object))


def _between_seeds(scores: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """The standard deviation of the means of a way's trainings; missing with one."""
    groups = _trained(scores, main).groupby(KEY, sort=False)["mean"]
    return groups.std(ddof=1).rename("between_seeds").reset_index()


def _of_seeds(scores: pd.DataFrame, main: MainMetrics) -> PageTable:
    """A row for each training of a way that has several."""
    rows = _trained(scores, main)
    rows = rows[rows.groupby(KEY, sort=False)["seed"].transform("nunique") > 1]
    columns = ["seed", "mean", "standard_error", "n", "nb_failed", "failure", "run", *KEY, *AXES_IN_WORDS]
    # Ends of an interval would be of the training alone; the error tells as much.
    return page_table(
        "main_seeds", "Single trainings", rows[list(dict.fromkeys(columns))], columns[:5], words=WORDS, estimates={}, key=KEY
    )
