"""The prediction job: it answers the test examples of one data set with one model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.data.answers import count_thoughts
from loragrid.data.render import Rendered, Renderer, end_tokens, tell_spelled
from loragrid.errors import UserError
from loragrid.inference.engine import EngineSettings, ModelToAsk, OpenEngine, open_engine
from loragrid.inference.prompts import AskedExample, ModelFiles, asked_examples, leaking_demonstrations, model_to_ask
from loragrid.inference.protocol import (
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
from loragrid.runtime.files import file_sha256, fingerprint, write_json
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
    try:
        manifest = json.loads(Path(files.manifest).read_text(encoding="utf-8"))
        return str(manifest["sources"]) if len(read_records(files.predictions, Prediction)) else None
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None


def _predict(job: PredictJob, started: float, open_engine: OpenEngine) -> None:
    settings, files = job.settings, job.files
    model = model_to_ask(job.base_model, settings.model, settings.quantization, files.model, job.threads, job=files.predictions)
    examples = asked_examples(settings, model, files.test, files.train, files.demonstrations)
    if cut := [asked.example.id for asked in examples if asked.is_cut]:
        log.info("%d examples: demonstrations or input cut: %s", len(cut), ", ".join(cut))

    prompts = [prompt for asked in examples for prompt in asked.prompts]
    spelled = tell_spelled(model.renderer, prompts) if model.renderer else 0
    if spelled and job.engine.sends_text:
        log.warning("the server makes tokens of these texts by itself, perhaps control tokens; send: token_ids leaves no doubt")
    known = known_answers(read_records(files.known, Prediction)) if files.known else {}
    missing = list({prompt.prompt: prompt for prompt in prompts if prompt.prompt not in known}.values())
    taken_over = sum(prompt.prompt in known for prompt in prompts)
    if known:
        log.info("%d of %d prompts are answered in %s", taken_over, len(prompts), files.known)

    fingerprints = file_fingerprints(files, model.renderer)
    new: dict[str, PromptAnswers] = {}
    journal, hardware = None, ("none", "none")
    if missing:
        with open_engine(job.engine, model) as engine:
            journal = journal_of(job, model, fingerprints, engine)
            if is_superseded(journal):
                remove_state(journal)
            describe_state(journal, {"result": files.predictions})
            hardware = (engine.device, engine.dtype)
            new = ask(engine, missing, settings.how, journal)

    predictions = list(_predictions(job, model, examples, known, new))
    write_records(files.predictions, predictions)
    written = {"predictions": file_sha256(files.predictions)}
    counts = count_thoughts(predictions) | {
        "examples": len(examples),
        "input_cut": cut,
        **leaking_demonstrations(settings.prompting, files.test, files.train, files.demonstrations),
        "taken_over": taken_over,
        **({"prompts_that_spell_control_tokens": spelled} if spelled else {}),
        **({"opened_thought": thought} if (thought := _opened_thought(model.renderer)) else {}),
        "generation_s": round(sum(answer.runtime_s for of_prompt in new.values() for answer in of_prompt.answers), 3),
    }
    computed = {"versions": versions(*PACKAGES)} | circumstances(started, *hardware, job.threads)
    made_of = {"fingerprints": fingerprints, "sha256": written, "sources": _sources(job, fingerprints)}
    write_json(files.manifest, _told(job) | made_of | counts | computed)
    if journal:
        finish_state(journal, files.predictions)


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
    made_by = MadeBy(engine.name, engine.version)
    answers = generate(engine.answer, prompts, decoding, journal)
    return {prompt.prompt: PromptAnswers(made_by, of_prompt) for prompt, of_prompt in zip(prompts, answers, strict=True)}


def _predictions(
    job: PredictJob,
    model: ModelToAsk,
    examples: Sequence[AskedExample],
    known: Mapping[str, PromptAnswers],
    new: Mapping[str, PromptAnswers],
) -> Iterator[Prediction]:
    # A server that writes prompts by itself reads thoughts by itself. What is trained here has learnt to answer right behind the
    # prompt.
    goes_on = job.engine.needs_source and model.trained is None
    marks, answers = job.settings.how.thought_marks, {**known, **new}
    for example, prompts in examples:
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
