"""The score job: the rows of scores of one prediction file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.data.wholeness import refuse_other_answers
from loragrid.errors import UserError
from loragrid.layout import MANIFEST, SCORE_STATES
from loragrid.records import Example, Likelihood, Prediction, Score, read_records
from loragrid.runtime.files import file_sha256, fingerprint
from loragrid.runtime.job import log, versions
from loragrid.runtime.manifests import read_json, refuse_damaged_model
from loragrid.runtime.model_folders import whole_folder
from loragrid.runtime.states import describe_state
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction, items_of, score_rows
from loragrid.scoring.references import sentence, wrong_in
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.scoring.settings import ScoreSettings
from loragrid.scoring.store import scored_once


class ScoredFiles(NamedTuple):
    """The files that a score job reads. Files that its scorer does not read are None."""

    place: str
    """The place of the predictions, below `results/predictions` and without an ending."""
    predictions: str
    test: str | None = None
    model: str | None = None
    """A file in the folder of the model that the scorer loads."""
    base: str | None = None
    """Predictions of the base model."""
    likelihoods: str | None = None


class Machine(NamedTuple):
    """What a job may use."""

    resources: Mapping[str, Any]
    threads: int


def score_file(
    name: str,
    scorer: ScorerSettings,
    told: ScoreSettings,
    files: ScoredFiles,
    waiting: Callable[[], Iterable[Item]],
    machine: Machine,
) -> list[Score]:
    """The rows of scores of a prediction file.

    Args:
        name: of the scorer in the configuration.
        waiting: answers in other files that wait for the same scorer.
    """
    examples = {example.id: example for example in read_records(files.test, Example)} if files.test else None
    predictions = read_records(files.predictions, Prediction)
    if files.test and examples is not None:
        refuse_other_answers(files.predictions, [one.answered for one in predictions], files.test, [*examples.values()])
    items = items_of(predictions, files.place, examples)
    _check_references(name, scorer, files.predictions, items)
    inputs = ScorerInputs(
        name,
        model_folder=whole_folder(files.model) if files.model else None,
        base=read_records(files.base, Prediction) if files.base else None,
        human_evaluation=told.human_evaluation,
        likelihoods=likelihoods_by_part(read_records(files.likelihoods, Likelihood)) if files.likelihoods else None,
    )
    outcomes = score_items(
        scorer, inputs, [item for of_prediction in items for item in of_prediction], waiting, told.version, machine
    )
    if not scorer.may_leave_out and any(outcome is None or getattr(outcome, "left_out", ()) for outcome in outcomes):
        # Otherwise its rows would be taken for lost later.
        raise TypeError(f"the scorer '{scorer.type}' leaves answers out, but its class does not say may_leave_out = True")
    rows = list(score_rows(name, told.metrics, items, outcomes, scorer.facts().worst))
    log.info("%d answers scored", len(outcomes))
    if truncated := sum(bool(row.truncated) for row in rows):
        log.info("%d answers or their references are too long for the scorer's model, which read them in part", truncated)
    if failed := sum(row.status != "ok" for row in rows):
        log.info("%d of %d scores failed, wholly or in part", failed, len(rows))
    return rows


def likelihoods_by_part(records: Iterable[Likelihood]) -> dict[tuple[str, int], list[Likelihood]]:
    """Likelihoods by the id of the example and the number of its prompt."""
    found: dict[tuple[str, int], list[Likelihood]] = {}
    for record in records:
        found.setdefault((record.id, record.part), []).append(record)
    return found


def _check_references(name: str, scorer: ScorerSettings, path: str, items: Sequence[Sequence[Item]]) -> None:
    """Raise a UserError if no answer to an example could be right by its references, and the scorer needs all of them."""
    if (check := scorer.reference_check()) is None:
        return
    found = {of_one[0].id: wrong_in(check, [item.references for item in of_one]) for of_one in items if of_one}
    wrong = {id_: said for id_, said in found.items() if said}
    if wrong and (scorer.needs_all_references or len(wrong) == len(found)):
        first, said = next(iter(wrong.items()))
        raise UserError(sentence(name, scorer, f"{path} (id {first})", said, len(wrong), len(found)))


def score_items(
    scorer: ScorerSettings,
    inputs: ScorerInputs,
    items: Sequence[Item],
    waiting: Callable[[], Iterable[Item]],
    version: int,
    machine: Machine,
) -> Sequence[Outcome]:
    """The outcomes of all items. The outcomes of a scorer that starts slowly are kept.

    Args:
        waiting: answers in other files that wait for the same scorer.
        version: of the stage.
    """
    if not scorer.starts_slowly:
        return scorer.build(inputs)(items)
    store = store_of(scorer, inputs.model_folder, version)
    describe_state(store, {"settings": scorer.decisive_settings()})
    return scored_once(items, waiting, started_when_needed(scorer, inputs, machine), store)


def started_when_needed(scorer: ScorerSettings, inputs: ScorerInputs, machine: Machine) -> ScorerFunction:
    """The function of a scorer. The scorer is built at the first call."""

    @cache
    def built() -> ScorerFunction:
        if inputs.model_folder is None:
            return scorer.build(inputs)
        # Importing torch takes seconds.
        import torch

        from loragrid.runtime.gpu_leases import lease_gpus

        refuse_damaged_model(inputs.model_folder)
        lease_gpus(machine.resources)
        torch.set_num_threads(machine.threads)
        score = scorer.build(inputs)
        return lambda items: [rounded(outcome) for outcome in score(items)]

    return lambda items: built()(items)


def rounded(outcome: Outcome) -> Outcome:
    """Metrics with six significant digits. Further digits depend on the machine."""
    if not isinstance(outcome, Scored):
        return outcome
    return outcome._replace(metrics={name: float(f"{value:.6g}") for name, value in outcome.metrics.items()})


def store_of(scorer: ScorerSettings, model_folder: Path | None, version: int) -> Path:
    """Where the values of a slowly starting scorer are kept."""
    model = read_json(model_folder / MANIFEST, ["files"])["files"] if model_folder else None
    files = {key: file_sha256(path) for key, path in scorer.files().items()}
    identity = [scorer.decisive_settings(), model, files, versions(*scorer.packages), version]
    # Since then, outcomes of models say which texts were truncated.
    identity += ["truncated"] if model else []
    return Path(SCORE_STATES) / f"{scorer.type}-{fingerprint(identity)[:32]}.jsonl"
