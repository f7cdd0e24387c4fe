"""Whether the comparisons that a configuration asks for are about something: one sentence for each name that is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from loragrid.analysis.contrasts.settings import FEWEST
from loragrid.config.root import Config
from loragrid.errors import unknown_name
from loragrid.layout import USUAL

WHAT = {
    "task": "task",
    "sample_type": "sample type",
    "base_model": "base model",
    "trained_task": "task",
    "trained_sample_type": "sample type",
    "mix": "mix",
    "nb_samples": "number of examples of the grid",
    "config": "config",
    "loss_computation": "loss computation of the grid",
    "prompting": "prompting",
    "prompt_variant": "prompt variant",
    "decoding": "decoding",
}
"""What a value of a column is."""


def broken_comparisons(config: Config) -> Iterator[str]:
    """One sentence for each name that refers to nothing."""
    for metric in config.report.smallest_difference:
        if metric not in config.metrics:
            yield unknown_name("report.smallest_difference", "metric", metric, config.metrics)
    for i, comparison in enumerate(config.report.comparisons or ()):
        where = f"report.comparisons[{i}]"
        if comparison.axis == "config" and comparison.values and len(config.trainings_named(comparison.values)) < 2:
            yield f"{where}: values: {FEWEST}."
        for metric in comparison.metrics or ():
            if metric not in config.metrics:
                yield unknown_name(f"{where}.metrics", "metric", metric, config.metrics)
        of_axis = [("values", value) for value in comparison.values or ()]
        of_axis += [("against", comparison.against)] if comparison.against is not None else []
        for key, value in of_axis:
            yield from _unknown(config, f"{where}.{key}", comparison.axis, value)
        for column, values in comparison.where.items():
            for value in values:
                yield from _unknown(config, f"{where}.where.{column}", column, value)


def _unknown(config: Config, key: str, column: str, value: str) -> Iterator[str]:
    known = set(_known(config, column))
    if value not in known:
        yield unknown_name(key, WHAT[column], value, known)


def _known(config: Config, column: str) -> Iterable[str]:
    """The values that a column of the tables can have."""
    tasks = config.tasks.values()
    match column:
        case "task" | "trained_task":
            return config.tasks
        case "sample_type" | "trained_sample_type":
            return [name for task in tasks for name in task.sample_types]
        case "base_model":
            return config.models
        case "mix":
            return config.mixes
        case "config":
            return [*config.configs, *config.trainings]
        case "nb_samples":
            return [str(number) for block in config.grid for number in block.nb_samples]
        case "loss_computation":
            return [name for block in config.grid for name in block.loss_computations]
        case "prompting":
            return [USUAL[0], *config.promptings]
        case "prompt_variant":
            return [USUAL[1], *(name for task in tasks for name in task.prompt_variants)]
    return [USUAL[2], *config.decodings]
