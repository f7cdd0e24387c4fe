"""From predictions to rows of scores: what every scorer is given and gives back, and how costly values are kept."""

from __future__ import annotations

import fcntl
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from loragrid.errors import UserError
from loragrid.files import fingerprint
from loragrid.job import log
from loragrid.journal import append_to_journal, read_journal
from loragrid.records import Example, Prediction, Score, read_records

CHUNK = 1024
"""Answers after which costly values are kept."""


class Item(NamedTuple):
    """One answer, with all that a scorer may read. An example with several prompts gives several items."""

    id: str
    """Of the test example."""
    prediction: str
    references: tuple[str, ...]
    prompt: str = ""
    """As the model got it."""
    instruction: str = ""
    """Of the test example, as are the next two; empty for scorers that do not read the examples."""
    input: str = ""
    metadata: Mapping[str, str] = {}
    model: str = ""
    """The prediction's place below `results/predictions`, without its ending."""
    sample: int = 0
    part: int = 0
    """Which of an example's several prompts."""


class Scored(NamedTuple):
    """What a scorer says about one answer."""

    metrics: Mapping[str, float]
    detail: str | None = None
    """What it found in the answer, for the reader: a label, a verdict, a judge's words."""
    parts: Mapping[str, float] = {}
    """Counts from which a metric over all examples is made, or the ratings of each annotator, as `criterion/annotator/row of the sheet`."""
    usage: Mapping[str, int] = {}
    """What it cost: `calls`, `prompt_tokens` and `new_tokens` of a judge."""
    left_out: Collection[str] = ()
    """Metrics that nobody was asked for: one that is missing otherwise is a failure."""


class Failed(NamedTuple):
    """Why a scorer can say nothing about an answer that it should have scored."""

    reason: str
    detail: str | None = None
    usage: Mapping[str, int] = {}


Outcome = Scored | Failed | None
"""None: the scorer has nothing to do with this answer, which gets no row."""

ScorerFunction = Callable[[Sequence[Item]], Sequence[Outcome]]
"""Gives the outcome of each answer, in the same order."""


def each(score_one: Callable[[str, str], Mapping[str, float]]) -> ScorerFunction:
    """The scorer that compares a prediction with one reference at a time; of several, the best counts for each metric."""
    return lambda items: [Scored(best_of(score_one(item.prediction, r) for r in item.references)) for item in items]


def best_of(metrics: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """For several references, the highest value of each metric."""
    best: dict[str, float] = {}
    for one in metrics:
        best = {name: max(value, best.get(name, value)) for name, value in one.items()}
    return best


def items_of(
    predictions: Iterable[Prediction], model: str = "", examples: Mapping[str, Example] | None = None
) -> list[list[Item]]:
    """For each prediction the answers to score: one for each prompt that has a reference of its own; joined answers are one.

    Args:
        model: the place of the prediction file below `results/predictions`, without its ending.
        examples: the test examples by id, for scorers that read them.
    """
    found = []
    for prediction in predictions:
        parts = prediction.parts
        if prediction.answers == "joined":
            parts = [
                parts[0]
                | {name: "\n".join(dict.fromkeys(part[name] for part in parts)) for name in ("prompt",)}
                | {"prediction": "\n".join(part["prediction"] for part in parts)}
            ]
        example = examples[prediction.id] if examples else None
        inputs = [""] * len(parts)
        if example is not None:
            inputs = [part.input for part in example.parts]
            inputs = ["\n".join(inputs)] if prediction.answers == "joined" else inputs
        found.append(
            [
                Item(
                    id=prediction.id,
                    prediction=part["prediction"],
                    references=tuple(part["reference"]),
                    prompt=part["prompt"],
                    instruction=example.instruction if example else "",
                    input=input_,
                    metadata=example.metadata if example else {},
                    model=model,
                    sample=prediction.sample,
                    part=i,
                )
                for i, (part, input_) in enumerate(zip(parts, inputs, strict=True))
            ]
        )
    return found


def score_rows(
    name: str, metrics: Sequence[str], items: Sequence[Sequence[Item]], outcomes: Iterable[Outcome]
) -> Iterator[Score]:
    """Rows for every prediction and metric; a value that is missing or not finite becomes a row with a status.

    Of several answers that have a reference each, the row is their mean. A metric that is left out of all of them gets no row.

    Args:
        metrics: those that the scorer gives.
        items: as `items_of` gives them.
        outcomes: of all items, one after the other.
    """
    following = iter(outcomes)
    for of_prediction in items:
        found = [outcome for outcome in (next(following) for _ in of_prediction) if outcome is not None]
        if not found:
            continue
        failure = next((outcome for outcome in found if isinstance(outcome, Failed)), None)
        scored = [outcome for outcome in found if isinstance(outcome, Scored)]
        given = [metric for metric in metrics if failure or any(metric not in outcome.left_out for outcome in scored)]
        for i, metric in enumerate(given):
            values = [outcome.metrics.get(metric, math.nan) for outcome in scored if metric not in outcome.left_out]
            value = sum(values) / len(values) if values and not failure else math.nan
            reason = failure.reason if failure else f"the value is {value}"
            yield Score(
                id=of_prediction[0].id,
                sample=of_prediction[0].sample,
                scorer=name,
                metric=metric,
                value=value if math.isfinite(value) else None,
                status="ok" if math.isfinite(value) else f"failed: {reason}",
                # Once for all metrics is enough.
                detail=None if i else "\n".join(outcome.detail for outcome in found if outcome.detail is not None) or None,
                parts={} if i else add_up(outcome.parts for outcome in scored),
                usage={} if i else {key: int(value) for key, value in add_up(outcome.usage for outcome in found).items()},
            )


def add_up(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sums of counts, by their names."""
    total: dict[str, float] = {}
    for one in counts:
        for key, value in one.items():
            total[key] = total.get(key, 0) + value
    return total


def content(item: Item) -> str:
    """A hash of what decides on an answer's score, whoever gave the answer."""
    return fingerprint([item.prediction, item.references, item.instruction, item.input])


def scored_once(items: Sequence[Item], others: Callable[[], Iterable[Item]], score: ScorerFunction, store: Path) -> list[Outcome]:
    """The outcomes of all items from a costly scorer, each distinct answer scored once and kept in a store.

    Whoever has to start the scorer anyway also scores what others will ask for, unless somebody is doing that already: to load a model takes
    longer than to score a file. Answers that share their references are scored together, so that these are looked at once.

    Args:
        others: answers that wait for the same scorer; only asked for if something is to be scored.
        store: journal of the scorer; what makes outcomes differ beside the answers is for its name to tell.
    """
    known = read_journal(store)
    wanted = {content(item): item for item in items}
    if wanted.keys() - known.keys():
        with turn(store.with_suffix(".lock")) as mine:
            wanted |= {content(item): item for item in others()} if mine else {}
            missing = sorted((item.references, key) for key, item in wanted.items() if key not in known)
            log.info("%d answers to score, %d are known", len(missing), len(wanted) - len(missing))
            with tqdm(total=len(missing), desc="scoring", unit="answer", mininterval=5) as progress:
                for i in range(0, len(missing), CHUNK):
                    keys = [key for _, key in missing[i : i + CHUNK]]
                    outcomes = score([wanted[key] for key in keys])
                    new = {key: _as_json(outcome) for key, outcome in zip(keys, outcomes, strict=True)}
                    append_to_journal(store, new)
                    known |= new
                    progress.update(len(keys))
    return [_from_json(known[content(item)]) for item in items]


def waiting_items(scorer: str, raw: Mapping[str, Any], read_examples: bool) -> Iterator[Item]:
    """The answers in all prediction files of the grid that are to be scored by this scorer and are there already.

    Args:
        raw: the configuration, as YAML gave it.
        read_examples: whether the scorer reads the test examples too.
    """
    from loragrid.config import Config
    from loragrid.grid import expand_predictions

    config = Config.from_mapping(raw)
    for one in expand_predictions(config):
        place = f"{one.task}/{one.sample_type}/{one.base_model}/{one.run}{one.variant}"
        path, test = Path(f"results/predictions/{place}.jsonl"), Path(f"results/datasets/{one.task}/{one.sample_type}/test.jsonl")
        if scorer not in config.tasks[one.task].scorers or not path.exists():
            continue
        try:
            examples = {example.id: example for example in read_records(test, Example)} if read_examples else None
            items = items_of(read_records(path, Prediction), place, examples)
        except (UserError, OSError, KeyError):
            # Its own job will say what is wrong with it.
            continue
        yield from (item for of_prediction in items for item in of_prediction)


def _as_json(outcome: Outcome) -> Any:
    if outcome is None:
        return None
    # What is empty comes back by itself.
    return {key: value for key, value in outcome._asdict().items() if value or key in ("metrics", "reason")}


def _from_json(value: Any) -> Outcome:
    if value is None:
        return None
    return Failed(**value) if "reason" in value else Scored(**value)


@contextmanager
def turn(lock: Path) -> Iterator[bool]:
    """Whether nobody else holds this lock, which is held until the block ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
