"""Contrasts as means over tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from loragrid.analysis.contrasts.estimates import Found
from loragrid.analysis.contrasts.task_groups import groups_over_tasks, size_of_training
from loragrid.analysis.statistics.pooling import mean_over_tasks


def over_tasks(found: Sequence[Found]) -> Iterator[Found]:
    """The wanted means over tasks, each task counting alike."""
    return map(_mean, groups_over_tasks(found))


def _mean(group: Sequence[Found]) -> Found:
    first = group[0]
    contrast, way = first.contrast, first.contrast.first
    if len({size_of_training(one) for one in group}) > 1:
        contrast = contrast._replace(plus=((1.0, way._replace(nb_samples=None)),))
    means = [float(np.mean([one.means[side] for one in group])) for side in (0, 1)]
    return first._replace(
        contrast=contrast,
        means=(means[0], means[1]),
        estimate=mean_over_tasks([one.estimate for one in group]),
        family=first.over_tasks or first.family,
        nb_failed=(sum(one.nb_failed[0] for one in group), sum(one.nb_failed[1] for one in group)),
        nb_cut_off=(sum(one.nb_cut_off[0] for one in group), sum(one.nb_cut_off[1] for one in group)),
        over_tasks=None,
        tasks=tuple(dict.fromkeys(one.contrast.first.task for one in group)),
    )
