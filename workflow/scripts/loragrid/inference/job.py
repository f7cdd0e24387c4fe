"""The prediction job: it answers the test examples of one data set with one model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.data.answers import count_thoughts
from loragrid.data.render import Rendered, Renderer, end_tokens, tell_changes, tell_spelled
from loragrid.errors import UserError
from loragrid.inference.engine import EngineSettings, ModelToAsk, OpenEngine, open_engine
from loragrid.inference.prompts import AskedExample, ModelFiles, asked_examples, leaking_demonstrations, model_to_ask
from loragrid.inference.protocol import (
    Answer,
    Decoding,
    Engine,
    MadeBy,
    PromptAnswers,
    generate,
    known_answers,
    make_predictions,
    prediction_identity,
)
from loragrid.inference.settings import PredictSettings
from loragrid.layout import LOCKS, PREDICTION_STATES
from loragrid.models.device import ALSO_COMPUTING
from loragrid.records import Prediction, read_records, write_records
from loragrid.runtime.files import file_sha256, fingerprint, place_of, write_json
from loragrid.runtime.finished import finish_state, is_superseded, remove_state
from loragrid.runtime.job import circumstances, installed_versions, log, versions
from loragrid.runtime.locks import only_job_for
from loragrid.runtime.manifests import verified_sha256
from loragrid.runtime.model_folders import content_of_model
from loragrid.runtime.states import describe_state
from loragrid.sections import decisive
from loragrid.text.thoughts import opened_by

PACKAGES = ("torch", "transformers", "peft")
"""Packages whose versions decide on answers."""


class PredictFiles(NamedTuple):
    """What a prediction job reads and writes."""

    predictions: str
    """Written by the job, as is the next."""
    manifest: str
    test: str
    model: ModelFiles
    train: str | None = None
    """The examples that prompts show, if they show any."""
    demonstrations: str | None = None
    """Which of these examples each prompt shows."""
    known: str | None = None
    """Predictions of the same model on another sample type. Answers to the same prompts are taken over."""
    kept_in: str | None = None
    """The folder that gets predictions and manifest, under their own names, if the job works ahead. The manifest comes last."""

    @property
    def written(self) -> tuple[Path, Path]:
        """Where predictions and manifest are written. Nothing else depends on it."""
        return place_of(self.predictions, self.kept_in), place_of(self.manifest, self.kept_in)


class PredictJob(NamedTuple):
    """A prediction job: which model it asks, which questions, and how."""

    base_model: str
    """Its name in the configuration."""
    settings: PredictSettings
    engine: EngineSettings
    """The engine of the settings, with the keys that change only speed."""
    files: PredictFiles
    threads: int


def predict(job: PredictJob, started: float, open_engine: OpenEngine = open_engine) -> None:
    """Answer test examples and write the predictions with their manifest. Answers of an interrupted job are kept.

    If another job makes the same predictions, this one waits until it ends.

    Args:
        started: `time.perf_counter()` when the job started.
    """
    with only_job_for(job.files.predictions, Path(LOCKS)) as has_waited:
        predict_claimed(job, started, open_engine, has_waited)


def predict_claimed(
    job: PredictJob, started: float, open_engine: OpenEngine = open_engine, has_waited: Callable[[], bool] = lambda: False
) -> None:
    """As `predict`, for whoever holds the lock of the predictions already.

    Args:
        has_waited: whether another job was waited for, which may have made the predictions.
    """
    if has_waited() and _made_from(job.files) == _sources(job, file_fingerprints(job.files, None)):
        log.info("the other job has made these predictions; they are taken")
    else:
        _predict(job, started, open_engine)


def _sources(job: PredictJob, fingerprints: Mapping[str, str | None]) -> str:
    """A hash of all that decides on a prediction file: what the job is told, its files, and the code that computes.

    Args:
        fingerprints: as `file_fingerprints` gives them.
    """
    files = job.files
    hashed = {name: sha256 for name, sha256 in fingerprints.items() if name != "prompt_template"}
    others = [file_sha256(path) if path else None for path in (files.train, files.demonstrations, files.known)]
    folders = [
        content_of_model(Path(path).parent, [Path(path).name]) if path else None
        for path in (files.model.model, files.model.adapter)
    ]
    return fingerprint([_told(job), hashed, others, folders, versions(*PACKAGES), installed_versions(*ALSO_COMPUTING)])


def _made_from(files: PredictFiles) -> str | None:
    """The sources of the predictions that are there; None if there are none, or not all of them."""
    predictions, manifest = files.written
    try:
        told = json.loads(manifest.read_text(encoding="utf-8"))
        return str(told["sources"]) if len(read_records(predictions, Prediction)) else None
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None


def _predict(job: PredictJob, started: float, open_engine: OpenEngine) -> None:
    answer_alone(prepare(job), started, open_engine)


class Prepared(NamedTuple):
    """A prediction job whose prompts are made, before any model is loaded."""

    job: PredictJob
    model: ModelToAsk
    examples: list[AskedExample]
    known: dict[str, PromptAnswers]
    """Answers that are taken over, by prompt."""
    missing: list[Rendered]
    """The prompts that need an answer, each once."""
    spelled: int
    """How many prompts spell control tokens."""
    fingerprints: dict[str, str | None]

    @property
    def prompts(self) -> list[Rendered]:
        """All prompts of all examples."""
        return [prompt for asked in self.examples for prompt in asked.prompts]


def prepare(job: PredictJob) -> Prepared:
    """Make the prompts of a job, and find out which of them need an answer.

    Raises:
        UserError: if a prompt does not fit, or a file is not as expected.
    """
    settings, files = job.settings, job.files
    model = model_to_ask(job.base_model, settings.model, settings.quantization, files.model, job.threads, job=files.predictions)
    examples = asked_examples(settings, model, files.test, files.train, files.demonstrations)
    if cut := _cut(examples):
        log.info("%d examples: demonstrations or input cut: %s", len(cut), ", ".join(cut))

    prompts = [prompt for asked in examples for prompt in asked.prompts]
    spelled = tell_spelled(model.renderer, prompts) if model.renderer else 0
    tell_changes(prompts)
    if spelled and job.engine.sends_text:
        log.warning("the server makes tokens of these texts by itself, perhaps control tokens; send: token_ids leaves no doubt")
    known = known_answers(read_records(files.known, Prediction)) if files.known else {}
    missing = list({prompt.prompt: prompt for prompt in prompts if prompt.prompt not in known}.values())
    if known:
        log.info("%d of %d prompts are answered in %s", _taken_over(prompts, known), len(prompts), files.known)
    return Prepared(job, model, examples, known, missing, spelled, file_fingerprints(files, model.renderer))


def answer_alone(prepared: Prepared, started: float, open_engine: OpenEngine) -> None:
    """Have the model of a job answer what is missing, and write the job's predictions.

    Args:
        started: as in `predict`.
    """
    if not prepared.missing:
        write_predictions(prepared, {}, started)
        return
    with open_engine(prepared.job.engine, prepared.model) as engine:
        journal = begin_journal(prepared, engine)
        new = ask(engine, prepared.missing, prepared.job.settings.how, journal)
    write_predictions(prepared, new, started, engine, journal)


def begin_journal(prepared: Prepared, engine: Engine) -> Path:
    """The journal of a job, which may hold answers already."""
    journal = journal_of(prepared.job, prepared.model, prepared.fingerprints, engine)
    if is_superseded(journal):
        remove_state(journal)
    describe_state(journal, {"result": prepared.job.files.predictions})
    return journal


def write_predictions(
    prepared: Prepared,
    new: Mapping[str, PromptAnswers],
    started: float,
    engine: Engine | None = None,
    journal: Path | None = None,
) -> None:
    """Write the predictions of a job, then their manifest.

    Args:
        new: the answers that were missing, by prompt.
        engine: what gave them, if any were missing; the journal holds them.
    """
    job, examples = prepared.job, prepared.examples
    settings, files = job.settings, job.files
    predictions, (written, manifest) = list(_predictions(prepared, new)), files.written
    write_records(written, predictions)
    counts = count_thoughts(predictions) | {
        "examples": len(examples),
        "input_cut": _cut(examples),
        **leaking_demonstrations(settings.prompting, files.test, files.train, files.demonstrations),
        "taken_over": _taken_over(prepared.prompts, prepared.known),
        **({"prompts_that_spell_control_tokens": prepared.spelled} if prepared.spelled else {}),
        **({"opened_thought": thought} if (thought := _opened_thought(prepared.model.renderer)) else {}),
        "generation_s": round(sum(answer.runtime_s for of_prompt in new.values() for answer in of_prompt.answers), 3),
    }
    hardware = (engine.device, engine.dtype) if engine else ("none", "none")
    computed = {"versions": versions(*PACKAGES)} | circumstances(started, *hardware, job.threads)
    hashes, sources = {"predictions": file_sha256(written)}, _sources(job, prepared.fingerprints)
    made_of = {"fingerprints": prepared.fingerprints, "sha256": hashes, "sources": sources}
    write_json(manifest, _told(job) | made_of | counts | computed)
    if journal:
        finish_state(journal, files.predictions, ahead=bool(files.kept_in))


def _cut(examples: Sequence[AskedExample]) -> list[str]:
    """The ids of the examples whose prompts lack something, because the whole would not fit."""
    return [asked.example.id for asked in examples if asked.is_cut]


def _taken_over(prompts: Sequence[Rendered], known: Mapping[str, PromptAnswers]) -> int:
    return sum(prompt.prompt in known for prompt in prompts)


def _opened_thought(renderer: Renderer | None) -> str:
    """The closing mark of the thought inside which each answer begins."""
    return renderer.chat.opened_thought if renderer is not None and renderer.chat is not None else ""


def file_fingerprints(files: PredictFiles, renderer: Renderer | None) -> dict[str, str | None]:
    """Hashes of all that a prediction depends on, for its manifest; None for what is absent."""
    template = fingerprint(renderer.template or renderer.tokenizer.chat_template) if renderer else None
    paths = {"model": files.model.model, "tokenizer": files.model.tokenizer, "adapter": files.model.adapter, "test": files.test}
    return {name: verified_sha256(path) if path else None for name, path in paths.items()} | {"prompt_template": template}


def journal_of(job: PredictJob, model: ModelToAsk, fingerprints: Mapping[str, str | None], engine: Engine) -> Path:
    """Where a job keeps its answers until it is done. The name is a function of all that the answers depend on."""
    settings, files = job.settings, job.files
    of_files = {
        "weights": [fingerprints["model"], fingerprints["adapter"]],
        "model": content_of_model(model.folder, [Path(files.model.model or "").name]) if model.folder else None,
        "trained": content_of_model(model.trained.parent, [model.trained.name]) if model.trained else None,
        "ends": end_tokens(model.renderer, model.folder) if model.renderer and model.folder else [],
        "server": job.engine.address,
    }
    # The shape of batches changes the rounding; how patiently a server is asked changes nothing.
    of_model = decisive(settings.model) | {"quantization": settings.quantization, "batch_tokens": job.engine.batch_limit}
    of_code = versions(*PACKAGES) | installed_versions(*ALSO_COMPUTING) | {"stage": settings.version}
    identity = prediction_identity(files.predictions, of_files, of_model, settings.how, engine, of_code)
    return Path(PREDICTION_STATES) / f"{identity}.jsonl"


def ask(engine: Engine, prompts: Sequence[Rendered], decoding: Decoding, journal: Path) -> dict[str, PromptAnswers]:
    """The answers of an engine by prompt."""
    return by_prompt(engine, prompts, generate(engine.answer, prompts, decoding, journal))


def by_prompt(engine: Engine, prompts: Sequence[Rendered], answers: Sequence[list[Answer]]) -> dict[str, PromptAnswers]:
    """Answers of an engine, in the order of the prompts, by prompt."""
    made_by = MadeBy(engine.name, engine.version)
    return {prompt.prompt: PromptAnswers(made_by, of_prompt) for prompt, of_prompt in zip(prompts, answers, strict=True)}


def _predictions(prepared: Prepared, new: Mapping[str, PromptAnswers]) -> Iterator[Prediction]:
    job = prepared.job
    # A server that writes prompts by itself reads thoughts by itself. What is trained here has learnt to answer right behind the
    # prompt.
    goes_on = job.engine.needs_source and prepared.model.trained is None
    marks, answers = job.settings.how.thought_marks, {**prepared.known, **new}
    for example, prompts in prepared.examples:
        answered = [answers[prompt.prompt] for prompt in prompts]
        # In known answers, thoughts and answer are apart already.
        opened = [opened_by(prompt.prompt, marks) if goes_on and prompt.prompt in new else None for prompt in prompts]
        yield from make_predictions(job.settings.axes, example, prompts, answered, marks, opened)


def _told(job: PredictJob) -> dict[str, Any]:
    """The part of a manifest that says what the job was told."""
    settings = job.settings
    return {
        "axes": settings.axes,
        "model": settings.model.model_dump() | {"engine": job.engine.model_dump()},
        "prompting": decisive(settings.prompting),
        "instruction": settings.instruction,
        "quantization": settings.quantization,
        "decoding": settings.decoding,
        "subset": settings.subset,
        "stage_version": settings.version,
    }
