"""The page's tables about scorers: whether they agree with each other, with people, and beside the length of answers."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.result_tables import ABOUT, Files, Labels, labels_of, metric_names
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words
from loragrid.analysis.table_files import read_csv_table, read_parquet_table

COEFFICIENT = "kendall"
"""The coefficient that the page shows: it means the same for all scales, and few answers suffice."""

_PEOPLE = {"people_name": Words("people", "code")}


def scorer_tables(files: Files, labels: Labels, main: MainMetrics) -> Iterator[PageTable]:
    """All tables about scorers.

    Args:
        files: the outputs of `layout.ANALYSE` by their names.
    """
    pairs, equal_length, agreement, corrected = (
        read_parquet_table(files[f"{name}_parquet"]) for name in ("scorers", "equal_length", "judge_agreement", "judge_corrected")
    )
    yield pairs_table(pairs, main)
    yield equal_length_table(equal_length, main)
    yield agreement_with_people_table(agreement)
    yield corrected_table(corrected, labels)
    yield page_table(
        "agreement",
        "Agreement of annotators",
        read_csv_table(files["agreement"], ["scorer", "criterion", "level"]),
        ["scorer", "criterion", "level", "items", "annotators", "percent_agreement", "mean_kappa", "alpha", "rated", "asked"],
        "About the answers that several annotators rated.",
    )


def pairs_table(pairs: pd.DataFrame, main: MainMetrics) -> PageTable:
    """How two metrics order answers: pairs with people first, then pairs with the main metric, then all others."""
    rows = pairs[pairs["coefficient"] == COEFFICIENT]
    names, others = metric_names(rows), (rows["other_scorer"] + "/" + rows["other_metric"]).str.removeprefix("/")
    has_people = (rows["kind"] == "people") | (rows["other_kind"] == "people")
    of_task = rows["task"].map(main.of)
    place = (~has_people).astype(int) * (2 - ((names == of_task) | (others == of_task)).astype(int))
    rows = (
        rows.assign(metric_name=names, other_name=others, place=place).sort_values("place", kind="stable").drop(columns="place")
    )
    words = {
        "value": Words("Kendall's tau", "number", "1: the same order of answers; 0: one says nothing about the other.", 2),
        "other_name": Words("and", "code", "Another metric, or the length of answers in characters."),
    }
    first = ["task", "sample_type", "metric_name", "other_name", "scope", "value", "answers", "questions", "ways"]
    note = (
        "Kendall's tau-b with 95 % intervals over the choice of questions: within questions, about different models' answers to "
        "the same question; over all answers together; between ways, about the means of models. Other coefficients are in "
        "tables/scorers.csv. Trivial baselines are left out."
    )
    title = "Whether two scorers put answers in the same order"
    return page_table("scorers", title, rows, first, note, words, {"value": ("low", "high")})


def equal_length_table(equal_length: pd.DataFrame, main: MainMetrics) -> PageTable:
    """Differences from the base model at equal length: judges and main metrics first."""
    # Without a slope, lengths do not vary.
    rows = equal_length[equal_length["slope"].notna()]
    rows = rows.assign(metric_name=metric_names(rows))
    is_first = (rows["kind"] == "judge") | (rows["metric_name"] == rows["task"].map(main.of))
    rows = rows.assign(place=~is_first).sort_values("place", kind="stable").drop(columns="place")
    first = ["task", "sample_type", "base_model", *TRAINED, "metric_name", "difference", "at_equal_length", "characters"]
    first += ["base_characters", "longer", "n", "seeds"]
    note = (
        "The difference from the base model as it is, and had the answers been as long as the base model's: a regression on the "
        "difference in length. If nearly all answers are longer, or nearly all shorter, there are no data about equal length: "
        "the interval says so. Ways whose lengths do not vary are in tables/equal_length.csv alone."
    )
    return page_table("equal_length", "At equal length", rows, first, note, estimates={"difference": ("low", "high")})


def agreement_with_people_table(agreement: pd.DataFrame) -> PageTable:
    """Scorers that give the same values as people, beside them."""
    named = agreement.assign(metric_name=metric_names(agreement), people_name=agreement["people"] + "/" + agreement["criterion"])
    first = ["task", "sample_type", "metric_name", "people_name", "percent_agreement", "kappa", "alpha", "ratings", "annotators"]
    return page_table("judge_agreement", "Scorers and people", named, first, "For scorers with the values of people.", _PEOPLE)


def corrected_table(corrected: pd.DataFrame, labels: Labels) -> PageTable:
    """Means that people correct: judges first."""
    rows = corrected.assign(
        metric_name=metric_names(corrected),
        people_name=corrected["people"] + "/" + corrected["criterion"],
        label=labels_of(corrected, MODEL, labels),
        place=corrected["kind"] != "judge",
    )
    rows = rows.sort_values("place", kind="stable").drop(columns="place")
    first = [
        *ABOUT,
        "against",
        "people_name",
        "metric_name",
        "people_mean",
        "judge_mean",
        "corrected_mean",
        "rated",
        "judged",
        "worth",
    ]
    note = (
        "People rated a part of the answers, the scorer all of them. Together they say what people would have said on average of "
        "all (prediction-powered inference), if the rated answers were chosen at random. 95 % intervals, about single trainings."
    )
    estimates = {"people_mean": ("people_low", "people_high"), "corrected_mean": ("low", "high")}
    return page_table("judge_corrected", "What people would say of all answers", rows, first, note, _PEOPLE, estimates)
