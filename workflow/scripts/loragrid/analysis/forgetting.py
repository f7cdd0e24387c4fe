"""What trainings forget: how much worse they predict a text of general language, and what they change on tasks of others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from loragrid.analysis.columns import ASKED, INTEGERS, METRIC
from loragrid.analysis.comparisons import on_own_task
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.errors import DamagedError
from loragrid.layout import BASE, PROBE, USUAL, Run
from loragrid.records import Probe
from loragrid.runtime.manifests import read_json

MODEL = ["base_model", "run"]
TRAINED = ["trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", "seed"]
ON_TEXT = ["forgotten", "forgotten_low", "forgotten_high", "loss", "base_loss"]
IN_BITS = ["bits_forgotten", "bits_per_byte", "base_bits_per_byte"]
ON_TASKS = ["other_metric", "other_change", "other_standard_error", "other_tasks"]
COLUMNS = [*MODEL, *TRAINED, *ON_TEXT, *IN_BITS, "passages", "tokens", *ON_TASKS]
"""The columns of the table."""


class Difference(NamedTuple):
    """How much larger a mean loss is, with its 95 % interval."""

    value: float
    low: float
    high: float


def forgetting_table(
    probes: Iterable[str | Path],
    comparisons: pd.DataFrame,
    main: MainMetrics,
    mixed_tasks: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> pd.DataFrame:
    """A row for each training of which something is known: on the text, or on data sets of tasks that it was not trained for.

    Args:
        probes: files of probes, those of base models among them.
        comparisons: as `tables/comparisons.csv`.
        mixed_tasks: the tasks that a mix draws from besides its target, by mix.
    """
    read = {key: probe for path in probes for key, probe in [_read(path)]}
    changes = _changes(comparisons, main, mixed_tasks)
    rows = []
    for base_model, name in dict.fromkeys([*read, *changes]):
        if (run := Run.parse(name, base_model)) is not None:
            key = (base_model, name)
            of_text = _on_text(read.get(key), read.get((base_model, BASE)))
            rows.append(_axes(run) | of_text | changes.get(key, {"other_tasks": 0}))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys((*INTEGERS, "passages", "tokens", "other_tasks"), "Int64"))


def _read(path: str | Path) -> tuple[tuple[str, str], Probe]:
    """The model that a file of a probe is about, and what it holds."""
    named = PROBE.wildcards("probe", path)
    assert named is not None, path
    try:
        probe = Probe.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise DamagedError(path, f"{key}: {first['msg'].lower()}") from None
    return (named["base_model"], named["run"]), probe


def _axes(run: Run) -> dict[str, Any]:
    trained = {"trained_task": run.task, "trained_sample_type": run.sample_type}
    others = {name: getattr(run, name) for name in TRAINED if name not in trained}
    return {"base_model": run.base_model, "run": run.name} | trained | others


def _on_text(probe: Probe | None, base: Probe | None) -> dict[str, Any]:
    """The figures on the text; those of the base model only if it read the same passages with the same number type."""
    if probe is None:
        return {}
    found: dict[str, Any] = {
        "loss": probe.loss,
        "bits_per_byte": probe.bits_per_byte,
        "passages": len(probe.passages),
        "tokens": sum(one.tokens for one in probe.passages),
    }
    if base is None or _read_by(base) != _read_by(probe):
        return found
    difference = loss_difference(
        [one.loss for one in probe.passages], [one.loss for one in base.passages], [one.tokens for one in probe.passages]
    )
    ends = {"forgotten": difference.value, "forgotten_low": difference.low, "forgotten_high": difference.high}
    bits = probe.bits_per_byte - base.bits_per_byte
    return found | ends | {"base_loss": base.loss, "base_bits_per_byte": base.bits_per_byte, "bits_forgotten": bits}


def _read_by(probe: Probe) -> tuple[str, list[tuple[int, int]]]:
    """What must be the same where losses are compared."""
    return probe.dtype, [(one.bytes, one.tokens) for one in probe.passages]


def loss_difference(of_run: Sequence[float], of_base: Sequence[float], tokens: Sequence[int]) -> Difference:
    """The difference of two mean losses of a token on the same passages.

    It is a ratio: of the summed differences of the passages, and their tokens. The interval takes the passages for a sample of
    such text (Cochran 1977, Sampling Techniques, section 2.11), with Student's t.

    Args:
        of_run, of_base: the loss of each whole passage, in nats.
        tokens: of each passage.
    """
    from scipy.stats import t

    differences, sizes = np.subtract(of_run, of_base), np.asarray(tokens, dtype=float)
    value, number = float(differences.sum() / sizes.sum()), len(sizes)
    spread = float(((differences - value * sizes) ** 2).sum())
    half = float(t.ppf(0.975, number - 1)) * math.sqrt(number / (number - 1) * spread) / float(sizes.sum())
    return Difference(value, value - half, value + half)


def _changes(
    comparisons: pd.DataFrame, main: MainMetrics, mixed_tasks: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """What trainings change on the data sets of other tasks: the mean difference from the base model, in the main metric.

    It is a mean over data sets. Data sets with different main metrics have none. A task of which the mix holds examples is no
    other task.
    """
    trained = comparisons[comparisons["trained_task"].notna()]
    usual = (trained[ASKED] == list(USUAL)).all(axis=1)
    mixed = [task in mixed_tasks.get(mix, ()) for mix, task in trained[["mix", "task"]].to_numpy()]
    foreign = main.rows(trained[usual & ~on_own_task(trained) & ~pd.Series(mixed, index=trained.index, dtype=bool)])
    found = {}
    for key, rows in foreign.groupby(MODEL, sort=False):
        metrics = {"/".join(names) for names in rows[METRIC].itertuples(index=False, name=None)}
        change: dict[str, Any] = {"other_tasks": rows["task"].nunique()}
        if len(metrics) == 1:
            error = math.sqrt(float((rows["standard_error"] ** 2).sum(skipna=False))) / len(rows)
            change |= {"other_metric": metrics.pop(), "other_change": float(rows["mean_difference"].mean())}
            change |= {"other_standard_error": error}
        found[str(key[0]), str(key[1])] = change
    return found


def by_way(table: pd.DataFrame) -> pd.DataFrame:
    """The figures of each way, which are means over its trainings: `base_model`, `way`, `forgotten`, `other_change`."""
    way = [str(run).rpartition("__seed")[0] for run in table["run"]]
    figures = table[["base_model", "forgotten", "other_change"]].astype({"forgotten": float, "other_change": float})
    # Without any row the names would be numbers, which match none.
    ways = figures.assign(way=pd.Series(way, index=table.index, dtype=object))
    return ways.groupby(["base_model", "way"], sort=False).mean().reset_index()


def forgotten_of(table: pd.DataFrame) -> Mapping[tuple[str, str], float]:
    """How much each way has forgotten on the text, by base model and way, where that is known."""
    rows = by_way(table).dropna(subset="forgotten")
    return {(str(model), str(way)): float(value) for model, way, value in rows[["base_model", "way", "forgotten"]].to_numpy()}
