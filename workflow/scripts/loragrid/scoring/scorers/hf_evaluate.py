"""The scorer `evaluate`: metrics of Hugging Face `evaluate`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from reprlib import repr as short
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import Field

from loragrid.errors import UserError
from loragrid.runtime.job import log
from loragrid.runtime.user_code import parsed, told
from loragrid.scoring.foreign_code import as_number, score_each, unknown_lower_metrics
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import Named, ScorerInputs, ScorerSettings
from loragrid.sections import Name


class EvaluateScorer(ScorerSettings):
    """A metric of Hugging Face `evaluate`, computed for each answer by itself. If it raises, the answer counts as failed."""

    type: Literal["evaluate"] = Field(description="Chooses this scorer.")
    metric: str = Field(description="Folder on this machine with the metric's module (`path/to/name`), or its name on the hub.")
    metrics: list[Name] = Field(min_length=1, description="Which numbers of its result are kept.")
    lower_is_better: list[Name] = Field(
        default=[],
        description="The metrics for which less is better. In means, a failed score counts as 0, except for these metrics.",
    )
    arguments: dict[str, Any] = Field(default={}, description="Further arguments of its `compute`.")
    revision: str | None = Field(None, description="Of a metric on the hub: tag or commit of its repository.")
    trust_remote_code: bool = Field(
        False,
        description="Allow a metric of the hub, whose code is downloaded and run. A folder on this machine is your own code.",
    )

    is_light = False

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return evaluate_metric(self)

    def metrics_of_example(self, criteria: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
        return tuple(self.metrics)

    def metrics_with_low_good(self) -> Sequence[str]:
        return self.lower_is_better

    def decisive_settings(self) -> dict[str, Any]:
        # The direction that is better changes no score, only the tables.
        return {key: value for key, value in super().decisive_settings().items() if key != "lower_is_better"}

    def files(self) -> dict[str, str]:
        return {"metric": self.metric} if "/" in self.metric and not self.trust_remote_code else {}

    def problems(self, config: Named) -> Iterator[str]:
        if "/" not in self.metric and not self.trust_remote_code:
            yield (
                f"metric: '{self.metric}' is a metric of the hub, whose code would be downloaded and run: say trust_remote_code: "
                f"true, or give a "
                "folder on this machine, with a '/' in its path."
            )
        else:
            yield from unknown_lower_metrics(self.lower_is_better, self.metrics)

    def problems_in_files(self, config: Named) -> Iterator[str]:
        for path in self.files().values():
            try:
                problem = parsed(local_script(path)) if Path(path).exists() else None
            except UserError as error:
                problem = str(error)
            if isinstance(problem, str):
                yield f"metric: {problem}"


def evaluate_metric(settings: EvaluateScorer) -> ScorerFunction:
    """The scorer that computes a metric of `evaluate` for each answer by itself.

    Raises:
        UserError: naming the metric, if it cannot be loaded, takes something else than texts, raises on every answer, or does
            not give the numbers that are asked for.
    """
    what = f"metric '{settings.metric}'"

    def score(items: Sequence[Item]) -> list[Outcome]:
        with TemporaryDirectory() as folder:
            where = settings.metric if settings.trust_remote_code else str(local_script(settings.metric))
            if settings.trust_remote_code:
                os.environ["HF_HUB_OFFLINE"] = "0"
                refuse_shadow(where)
            with told(what):
                metric = _load(where, settings.revision, folder)
            names, several = _inputs(what, metric.features)

            def score_one(item: Item) -> Outcome:
                if not several and len(item.references) > 1:
                    raise UserError(f"{what} takes one reference, but example {item.id} has {len(item.references)}.")
                reference = list(item.references) if several else item.references[0]
                given = {"predictions": [item.prediction], "references": [reference]}
                result = metric.compute(**{name: given[name] for name in names}, **settings.arguments)
                return Scored(_kept(what, item, settings.metrics, result))

            return score_each(what, items, score_one)

    return score


def local_script(metric: str) -> Path:
    """The module of a metric on this machine: a file, or the file in a folder that has the folder's name.

    Raises:
        UserError: if it is missing. (`evaluate` would look for it on the hub.)
    """
    path = Path(metric).absolute()
    script = path if path.suffix == ".py" else path / f"{path.name}.py"
    if not script.is_file():
        raise UserError(
            f"metric '{metric}': there is no '{Path(metric) / script.name}'; a metric's module has the name of its folder."
        )
    return script


def refuse_shadow(metric: str) -> None:
    """Refuse a metric of the hub if `evaluate` would take a file on this machine instead."""
    for script in (Path(metric), Path(metric, f"{Path(metric).name}.py")):
        if script.is_file():
            raise UserError(
                f"metric '{metric}': '{script}' would be taken in the place of the hub's; rename it, or leave out "
                f"trust_remote_code."
            )


def _load(where: str, revision: str | None, folder: str) -> Any:
    """The metric's module. What `evaluate` writes stays in the folder."""
    # `evaluate` copies the code that it runs. It reads the place for copies when it is imported.
    os.environ["HF_MODULES_CACHE"] = folder
    import evaluate

    log.info("evaluate %s loads %s", evaluate.__version__, where)
    return evaluate.load(where, revision=revision, cache_dir=folder, keep_in_memory=True, seed=0)


def _inputs(what: str, features: Any) -> tuple[list[str], bool]:
    """Which of predictions and references a metric takes, and whether it takes several references for a prediction."""
    from datasets import Value

    options = features if isinstance(features, list) else [features]
    names = list(options[0])
    if "predictions" not in names or set(names) - {"predictions", "references"}:
        raise UserError(f"{what} takes {', '.join(names)}; expected one of predictions and references.")
    return names, any(not isinstance(option.get("references"), Value) for option in options)


def _kept(what: str, item: Item, metrics: Sequence[str], result: Any) -> dict[str, float]:
    """The numbers of a result that are asked for. A list of one number counts as that number."""
    if not isinstance(result, Mapping):
        raise UserError(f"{what}, example {item.id}: gives {short(result)}; expected a mapping of names to numbers.")
    kept = {}
    for metric in metrics:
        if metric not in result:
            raise UserError(
                f"{what}, example {item.id}: gives no '{metric}'; it gives: {', '.join(map(str, result)) or 'nothing'}."
            )
        value = result[metric]
        number = as_number(value[0] if isinstance(value, Sequence) and len(value) == 1 else value)
        if number is None:
            raise UserError(f"{what}, example {item.id}: gives {short(value)} as '{metric}'; expected a number.")
        kept[metric] = number
    return kept
