"""The names of the columns in the tables of ways and of contrasts."""

from __future__ import annotations

from loragrid.analysis.columns import ASKED, EVALUATED, METRIC

TRAINED = ["trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation"]
"""What a kind of run is trained on, and how: all axes of a run but its base model and seed. Empty for a base model alone."""


WAY = [*EVALUATED, "way", *ASKED, *TRAINED]
"""A way on an evaluated data set. `way` is a run's name without its seed, `base`, or the name of external predictions or of a
trivial baseline."""


FIGURE = ["mean", "low", "high", "standard_error", "freedom"]
"""A mean with its 95 % interval."""


SPREADS = ["of_questions", "of_seeds", "of_both", "of_samples"]
"""The variance of one answer: by its question, by its seed, by both together, and between samples of one answer."""


BASELINE_BESIDE = ["baseline", "baseline_mean"]
"""The best trivial baseline on the same data set in the same metric, and its mean."""


COUNTS = ["n", "clusters", "seeds", "nb_answers", "nb_failed", "nb_cut_off"]


WAYS = [*WAY, *METRIC, "lower_is_better", *FIGURE, *COUNTS, *SPREADS, "method", *BASELINE_BESIDE, "standing"]
"""The columns of `tables/ways.csv`: a row per way, data set and metric. `standing` is how a way stands to the best one there."""


SIDES = ["own", "other"]
"""The values of both ways on the axis in which they differ."""


CONTRASTS = [
    "axis",
    "kind",
    *SIDES,
    *WAY,
    "other_way",
    "other_sample_type",
    "tasks",
    *METRIC,
    "lower_is_better",
    "mean",
    "other_mean",
    "difference",
    "low",
    "high",
    "level",
    "standard_error",
    "freedom",
    "p_value",
    "p_adjusted",
    "family",
    "n",
    "clusters",
    "seeds",
    "verdict",
    "sentence",
    "detectable",
    "smallest_difference",
    "needed_questions",
    "needed_seeds",
    "nb_failed",
    "other_nb_failed",
    "nb_cut_off",
    "other_nb_cut_off",
    *SPREADS,
    "method",
    *BASELINE_BESIDE,
]
"""The columns of `tables/contrasts.csv`: a row per contrast and metric.

`axis` is the column in which both ways differ, or `training` for a kind of run against its base model. `kind` is `difference`,
`slope` (over the binary logarithm of `nb_samples`) or `interaction` (of two axes, named as `config*mix`). The columns of `WAY`
are those of the first way; the second has `other` in the place of `own` and the name `other_way`, and is tested on references of
`other_sample_type`. A contrast over several tasks names them in `tasks`, and its `task` is empty. `low` and `high` hold at
`level`: all of a family together, or 0.95 each where `family` is `exploratory`.
"""


EXPLORATORY = "exploratory"
"""In the place of a family's name: what was not declared beforehand."""
