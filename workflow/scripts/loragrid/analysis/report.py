"""The report: one HTML file that needs no network, whose numbers are those of the tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loragrid.analysis.tables import EVALUATED, GROUP, KIND, METRIC, MODEL, RUN, label_runs, on_own_data, run_labels
from loragrid.layout import BASE, BASELINE, EXTERNAL
from loragrid.records import Example, iterate_records
from loragrid.runtime.files import written_whole

MOST_GROUPS = 30


TEMPLATE = Path(__file__).with_suffix(".html.j2")


Target = tuple[str, str]
"""A file that the grid asks for, and the log of the job that makes it."""


def grid_state(tiers: Mapping[str, Sequence[Target]]) -> list[dict[str, Any]]:
    """For each tier how many files the grid asks for, how many are there, and why the others are not."""
    state = []
    for tier, targets in tiers.items():
        missing = [{"file": file, "reason": failure(log)} for file, log in targets if not Path(file).exists()]
        state.append({"tier": tier, "expected": len(targets), "present": len(targets) - len(missing), "missing": missing})
    return state


def failure(log: str) -> str:
    """What the log of a job says about its failure."""
    path = Path(log)
    if not path.exists():
        return "not started; something that it needs is missing"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else f"not finished, or ended without a word; see {log}"


def signs(table: pd.DataFrame) -> pd.Series:
    """For each row 1, or -1 where less is better."""
    return 1 - 2 * table["lower_is_better"].astype(int)


def headline(comparisons: pd.DataFrame, metric: str) -> dict[str, Any]:
    """How many data sets and runs gained over their base model in the main metric, each run on its own data set.

    A data set counts as gained if the runs with the most training examples gain on average: nothing is picked by its
    test score. A gain is called clear if it is larger than two standard errors.
    """
    rows = comparisons[(comparisons["scorer"] + "/" + comparisons["metric"] == metric) & on_own_data(comparisons)]
    rows = rows.assign(gain=rows["mean_difference"] * signs(rows))
    largest = rows[rows["nb_samples"] == rows.groupby(EVALUATED)["nb_samples"].transform("max")]
    gains = largest.groupby(EVALUATED)["gain"].mean()
    return {
        "datasets": len(gains),
        "datasets_gained": int((gains > 0).sum()),
        "runs": len(rows),
        "runs_gained": int((rows["gain"] > 0).sum()),
        "runs_clear": int((rows["gain"] > 2 * rows["standard_error"]).sum()),
    }


def strong_baselines(summary: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """The data sets on which a trivial baseline is as good as every model in a metric: the baseline and its mean, and the best model's mean."""
    found = []
    of_metric = summary[summary["scorer"] + "/" + summary["metric"] == metric].dropna(subset="mean")
    ranked = of_metric.assign(rank=of_metric["mean"] * signs(of_metric)).sort_values("rank", ascending=False, kind="stable")
    for (task, sample_type), group in ranked.groupby(["task", "sample_type"], sort=False):
        is_baseline = group["base_model"] == BASELINE
        baseline, model = group[is_baseline].head(1), group[~is_baseline].head(1)
        if len(baseline) and len(model) and baseline["rank"].iloc[0] >= model["rank"].iloc[0]:
            means = {"mean": float(baseline["mean"].iloc[0]), "best_model": float(model["mean"].iloc[0])}
            found.append({"task": task, "sample_type": sample_type, "baseline": label_runs(baseline)[0]} | means)
    return found


def result_tables(summary: pd.DataFrame, comparisons: pd.DataFrame, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """For each metric a table: a row per base model and data set, a column for the base and for each kind of run.

    Trivial baselines, and external predictions without a base model, stand in the rows of all base models.

    Args:
        by: further columns that divide the data sets, as groups of examples do.
    """
    labelled = summary.assign(label=label_runs(summary))
    gains = comparisons.set_index([*MODEL, *METRIC])[["mean_difference", "standard_error"]]
    tables = []
    for key, of_metric in labelled.groupby(METRIC, sort=False):
        kinds = zip(of_metric["base_model"], of_metric["run"], strict=True)
        order = of_metric.assign(place=[{BASELINE: 3, EXTERNAL: 2}.get(model, int(run != BASE)) for model, run in kinds])
        rows = []
        for dataset, group in of_metric.groupby(["task", "sample_type", *by], sort=False):
            shared = group["base_model"].isin([BASELINE, EXTERNAL])
            for base_model in group.loc[~shared, "base_model"].unique() if (~shared).any() else [""]:
                cells: dict[str, dict[str, Any]] = {}
                for row in group[shared | (group["base_model"] == base_model)].to_dict("records"):
                    cell = {name: row[name] for name in ("mean", "standard_error", "n", "nb_failed", "failure")}
                    if not by and (found := (*(row[name] for name in MODEL), *key)) in gains.index:
                        cell["gain"], cell["gain_error"] = gains.loc[found]
                    cells[row["label"]] = cell
                of = dict(zip(["task", "sample_type", *by], dataset, strict=True))
                rows.append({"base_model": base_model, **of, "cells": cells})
        columns = list(dict.fromkeys(order.sort_values("place", kind="stable")["label"]))
        lower = bool(of_metric["lower_is_better"].any())
        of_key = {"scorer": str(key[0]), "metric": "/".join(map(str, key)), "lower_is_better": lower}
        tables.append({**of_key, "columns": columns, "rows": rows})
    return tables


def few_groups(groups: pd.DataFrame) -> pd.DataFrame:
    """The rows of keys that have few enough values for a reader."""
    return groups[groups.groupby(["task", "sample_type", "key"])["group"].transform("nunique") <= MOST_GROUPS]


def transfer_table(transfer: pd.DataFrame, metric: str) -> dict[str, Any]:
    """What carries over in one metric: a row per base model and kind of run, a column for each evaluated data set."""
    of_metric = transfer[transfer["scorer"] + "/" + transfer["metric"] == metric]
    trained = of_metric.assign(task=of_metric["trained_task"], sample_type=of_metric["trained_sample_type"], run="", seed=0)
    rows = []
    for _, group in of_metric.assign(label=label_runs(trained)).groupby(["base_model", *KIND], sort=False):
        first = group.iloc[0]
        rows.append(
            {
                "base_model": first["base_model"],
                "task": first["trained_task"],
                "sample_type": first["trained_sample_type"],
                "label": first["label"],
                "cells": {(row["task"], row["sample_type"]): row for row in group.to_dict("records")},
            }
        )
    return {"columns": list(dict.fromkeys(column for row in rows for column in row["cells"])), "rows": rows}


def example_answers(predictions: pd.DataFrame, nb_examples: int) -> list[dict[str, Any]]:
    """For each base model and data set the first test examples with all models' answers to them, side by side."""
    by_models = predictions[predictions["base_model"] != BASELINE]
    labelled = by_models.assign(label=label_runs(by_models))
    found = []
    for dataset, group in labelled.groupby(EVALUATED, sort=False):
        ids = list(dict.fromkeys(group["id"]))[:nb_examples]
        examples = []
        for _, answers in group[group["id"].isin(ids)].groupby("id", sort=False):
            of_first = answers[answers["label"] == answers["label"].iloc[0]]
            joined = answers.groupby("label", sort=False).agg(
                prediction=("prediction", "\n".join), cut_off=("finish_reason", lambda reasons: (reasons == "length").any())
            )
            examples.append(
                {
                    "prompt": "\n\n".join(dict.fromkeys(of_first["prompt"])),
                    "references": list(dict.fromkeys(text for texts in of_first["reference"] for text in texts)),
                    "answers": joined.reset_index().to_dict("records"),
                }
            )
        found.append({**dict(zip(EVALUATED, dataset, strict=True)), "examples": examples})
    return found


def read_checks(paths: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The outcome of each model's generation check."""
    found = []
    for path in map(Path, paths):
        checks = json.loads(path.read_text(encoding="utf-8"))["checks"]
        outcome = {name: check["passed"] for name, check in checks.items()}
        found.append({"base_model": path.parent.name, "run": path.stem, "checks": outcome})
    return found


def leaking_mixes(leaks: Sequence[str | Path], mixes: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Mixes that hold examples of a test set.

    That happens only to a mix that was made before the test set came into the grid.

    Args:
        leaks: for each data set, the file of its examples that are in a test set.
        mixes: training and validation parts of the mixes.
    """
    in_tests: dict[str, list[str]] = {}
    for path in leaks:
        for found in json.loads(Path(path).read_text(encoding="utf-8")).values():
            in_tests |= found
    leaking = []
    for path in mixes:
        tests = [test for example in iterate_records(path, Example) for test in in_tests.get(example.id, ())]
        if tests:
            leaking.append({"mix": str(path), "tests": [f"{name} ({tests.count(name)})" for name in sorted(set(tests))]})
    return leaking


def circumstances_of(manifests: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The different combinations of commit, hardware and versions in the manifests, with how many files each made.

    Those of external predictions are left out: where they were made is not known.
    """
    counts: dict[str, int] = {}
    for path in manifests:
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        if "hardware" not in manifest:
            continue
        facts = {key: manifest[key] for key in ("git_commit", "hardware", "versions")}
        text = json.dumps(facts, sort_keys=True)
        counts[text] = counts.get(text, 0) + 1
    return [json.loads(text) | {"files": count} for text, count in counts.items()]


def as_data_uri(svg: str | Path) -> str:
    """An SVG file as a URI, so that it needs no file beside the report and shares no ids with other figures."""
    return "data:image/svg+xml;base64," + base64.b64encode(Path(svg).read_bytes()).decode()


def number(value: float | None, digits: int = 3) -> str:
    """A number for the reader; a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:,.{digits}f}"


def write_report(
    path: str | Path,
    settings: Mapping[str, Any],
    metric: str,
    state: Sequence[Mapping[str, Any]],
    tables: Path,
    figures: Path,
    checks: Sequence[str | Path],
    manifests: Sequence[str | Path],
    leaking: Sequence[Mapping[str, Any]],
) -> None:
    """Fill the report's template from the tables and figures on disk.

    Args:
        settings: title and number of examples.
        state: as `grid_state` gives it.
        checks: files of the generation checks.
        manifests: manifests of trainings and predictions.
        leaking: as `leaking_mixes` gives it.
    """
    summary = pd.read_parquet(tables / "scores.parquet")
    comparisons = pd.read_parquet(tables / "comparisons.parquet")
    predictions = pd.read_parquet(tables / "predictions.parquet")
    models = predictions.drop_duplicates(MODEL)
    of_models = dict(zip(models[MODEL].itertuples(index=False, name=None), label_runs(models), strict=True))

    def costs(name: str, keys: Sequence[str], labels: Mapping[tuple[str, ...], str]) -> list[dict[str, Any]]:
        # A name may look like a number, or like none at all.
        table = pd.read_csv(tables / name, dtype=dict.fromkeys([*keys, "scorer"], str), keep_default_na=False, na_values=[""])
        named = [labels.get(key, key[3]) for key in table[list(keys)].itertuples(index=False, name=None)]
        return [{str(key): value for key, value in row.items()} for row in table.assign(label=named).to_dict("records")]

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = number
    html = environment.get_template(TEMPLATE.name).render(
        title=settings["title"],
        metric=metric,
        headline=headline(comparisons, metric),
        strong_baselines=strong_baselines(summary, metric),
        state=state,
        results=result_tables(summary, comparisons),
        groups=result_tables(few_groups(pd.read_parquet(tables / "groups.parquet")), comparisons, GROUP),
        compared=not comparisons.empty,
        transfer=transfer_table(pd.read_parquet(tables / "transfer.parquet"), metric),
        learning_curves=as_data_uri(figures / "learning_curves.svg"),
        loss_curves=as_data_uri(figures / "loss_curves.svg"),
        lengths_figure=as_data_uri(figures / "lengths.svg"),
        data_sets=pd.read_csv(tables / "data_sets.csv", keep_default_na=False).to_dict("records"),
        mixes=pd.read_csv(tables / "mixes.csv", keep_default_na=False).to_dict("records"),
        lengths=pd.read_csv(tables / "lengths.csv", keep_default_na=False).to_dict("records"),
        examples=example_answers(predictions, settings["examples"]),
        training_costs=costs("training_costs.csv", RUN, run_labels(predictions)),
        prediction_costs=costs("prediction_costs.csv", MODEL, of_models),
        agreement=pd.read_csv(tables / "agreement.csv", keep_default_na=False, na_values=[""]).to_dict("records"),
        scoring_costs=costs("scoring_costs.csv", MODEL, of_models),
        checks=read_checks(checks),
        leaking=leaking,
        circumstances=circumstances_of(manifests),
    )
    with written_whole(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
