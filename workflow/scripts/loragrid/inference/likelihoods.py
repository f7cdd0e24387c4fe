"""The job that measures how likely a model finds given texts as answers: references, and the choices of scorers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from loragrid.data.choices import choices_of
from loragrid.data.prompting import make_request
from loragrid.data.render import Rendered, tell_spelled, text_ids
from loragrid.data.splitting import subset
from loragrid.errors import UserError
from loragrid.inference.engine import EngineSettings, ModelToAsk, OpenEngine, open_engine
from loragrid.inference.prompts import ModelFiles, model_to_ask, read_demonstrations, render_all
from loragrid.inference.protocol import Engine, GivenText
from loragrid.inference.settings import MeasureSettings
from loragrid.layout import PREDICTION_STATES
from loragrid.models.device import ALSO_COMPUTING
from loragrid.records import Example, Likelihood, read_records, write_records
from loragrid.runtime.files import file_sha256, fingerprint, place_of, write_json
from loragrid.runtime.finished import finish_state, is_superseded, remove_state
from loragrid.runtime.job import circumstances, installed_versions, log, versions
from loragrid.runtime.journal import append_to_journal, read_journal
from loragrid.runtime.manifests import verified_sha256
from loragrid.runtime.model_folders import content_of_model
from loragrid.runtime.states import describe_state
from loragrid.sections import decisive

PACKAGES = ("torch", "transformers", "peft")
"""Packages whose versions decide on what is measured."""


class MeasureFiles(NamedTuple):
    """What a job that measures reads and writes."""

    likelihoods: str
    """Written by the job, as is the next."""
    manifest: str
    test: str
    model: ModelFiles
    train: str | None = None
    """The examples that prompts show, if they show any."""
    demonstrations: str | None = None
    """Which of these examples each prompt shows."""
    kept_in: str | None = None
    """The folder that gets both files, under their own names, if the job works ahead. The manifest comes last."""

    @property
    def written(self) -> tuple[Path, Path]:
        """Where likelihoods and manifest are written. Nothing else depends on it."""
        return place_of(self.likelihoods, self.kept_in), place_of(self.manifest, self.kept_in)


class MeasureJob(NamedTuple):
    """A job that measures: with which model, which texts, and behind which prompts."""

    base_model: str
    """Its name in the configuration."""
    settings: MeasureSettings
    engine: EngineSettings
    """The engine of the settings, with the keys that change only speed."""
    files: MeasureFiles
    threads: int


class AskedText(NamedTuple):
    """A text of an example that is measured."""

    id: str
    part: int
    """Which of the example's prompts, if it has several."""
    is_reference: bool
    given: GivenText

    @property
    def key(self) -> str:
        """What tells prompt and text from others, in a journal."""
        return fingerprint([self.given.prompt.prompt_ids, self.given.prompt.prompt, self.given.token_ids])

    def record(self, logprobs: list[float]) -> Likelihood:
        """The record of the text."""
        prompt, text, ids = self.given
        asked = {"id": self.id, "part": self.part, "text": text, "is_reference": self.is_reference}
        return Likelihood(**asked, prompt_tokens=len(prompt.prompt_ids), token_ids=ids, logprobs=logprobs)


def measure_claimed(
    job: MeasureJob, started: float, open_engine: OpenEngine = open_engine, has_waited: Callable[[], bool] = lambda: False
) -> None:
    """Measure texts and write the likelihoods with their manifest. What an interrupted job has measured is kept.

    Args:
        started: `time.perf_counter()` when the job started.
        has_waited: whether another job was waited for, which may have measured the same.

    Raises:
        UserError: if a prompt does not fit, or a file is not as expected.
    """
    settings, files = job.settings, job.files
    hashes = _hashes(files)
    if has_waited() and _made_from(files) == _sources(job, hashes):
        log.info("the other job has measured these texts; they are taken")
        return
    model = model_to_ask(job.base_model, settings.model, settings.quantization, files.model, job.threads, files.likelihoods)
    texts = asked_texts(settings, model, files.test, files.train, files.demonstrations)
    prompts = list({text.given.prompt.prompt: text.given.prompt for text in texts}.values())
    if model.renderer is not None:
        tell_spelled(model.renderer, prompts)
    log.info("%d texts behind %d prompts", len(texts), len(prompts))
    with open_engine(job.engine, model) as engine:
        journal = _journal_of(job, hashes, engine)
        if is_superseded(journal):
            remove_state(journal)
        describe_state(journal, {"result": files.likelihoods})
        found = measure_all(engine, texts, journal)
    written, manifest = files.written
    write_records(written, (text.record(found[text.key]) for text in texts))
    made_of = {"fingerprints": hashes, "sha256": {"likelihoods": file_sha256(written)}, "sources": _sources(job, hashes)}
    counts = {"texts": len(texts), "tokens": sum(len(text.given.token_ids) for text in texts)}
    made_by = {"engine": engine.name, "engine_version": engine.version, "versions": versions(*PACKAGES)}
    of_machine = circumstances(started, engine.device, engine.dtype, job.threads)
    write_json(manifest, _told(job) | made_of | counts | made_by | of_machine)
    finish_state(journal, files.likelihoods, ahead=bool(files.kept_in))


def asked_texts(
    settings: MeasureSettings, model: ModelToAsk, test: str, train: str | None, demonstrations: str | None
) -> list[AskedText]:
    """The texts of all examples, behind the prompts that predictions have.

    A prompt leaves room for the longest text of its example: all texts of an example stand behind the same prompt.

    Args:
        test, train, demonstrations: as in `inference.prompts.asked_examples`.

    Raises:
        UserError: if a prompt does not fit into the model's context, a template does not fit an example, or there is nothing to
            measure.
    """
    shown = read_demonstrations(train, demonstrations) if train and demonstrations else {}
    asked: list[AskedText] = []
    for example in subset(read_records(test, Example), settings.subset):
        for number, part in enumerate(example.parts):
            try:
                prompt, texts = _prompt_and_texts(settings, model, part, shown.get(example.id, []))
            except UserError as error:
                raise UserError(f"{test}, example {example.id}: {error}") from None
            references = set(part.references) if settings.references else set()
            for text, ids in texts.items():
                asked.append(AskedText(example.id, number, text in references, GivenText(prompt, text, ids)))
    if not asked:
        raise UserError(f"{test}: there are no texts to measure; the source of the data set has to give or to cut this split.")
    return asked


def _prompt_and_texts(
    settings: MeasureSettings, model: ModelToAsk, part: Example, shown: Any
) -> tuple[Rendered, dict[str, list[int]]]:
    """The prompt of a part of an example, and the token ids of its texts."""
    assert model.renderer is not None
    texts = list(part.references) if settings.references else []
    for templates in settings.choices:
        texts += filter(None, choices_of(templates, part.instruction, part.input, part.metadata))
    ids = {text: text_ids(model.renderer, text) for text in texts}
    # Some engines generate a token behind the text.
    reserve = max(settings.max_new_tokens, *(len(of_text) + 1 for of_text in ids.values()))
    request = make_request(part, settings.instruction, shown)
    [prompt] = render_all(model, settings.model.system_prompt, [request], reserve)
    if prompt is None:
        raise UserError(f"the prompt does not fit into the model's context with {reserve} tokens left for a text.")
    if not prompt.prompt_ids:
        raise UserError("the prompt has no tokens; check its fields and the template.")
    return prompt, ids


def measure_all(engine: Engine, texts: list[AskedText], journal: Path | None = None) -> dict[str, list[float]]:
    """The logarithms of the probabilities of each text's tokens, by key. A text without tokens has none.

    Args:
        journal: holds what is measured. Its name must depend on everything that makes likelihoods differ, besides the text.
    """
    # The Snakefile imports this module, but needs no progress bar.
    from tqdm import tqdm

    if engine.measure is None:
        raise UserError(f"engine {engine.name}: it does not tell how likely a given text is.")
    by_key = {text.key: text.given for text in texts}
    found: dict[str, list[float]] = {key: [] for key, given in by_key.items() if not given.token_ids}
    keys = [key for key in by_key if key not in found]
    kept = read_journal(journal, _kept) if journal else {}
    done = {i: kept[key] for i, key in enumerate(keys) if key in kept}
    if done:
        log.info("going on after %d of %d texts", len(done), len(keys))
    with tqdm(total=len(keys), initial=len(done), desc="measuring", unit="text", mininterval=5) as progress:
        new = engine.measure([by_key[key] for key in keys], frozenset(done)) if len(done) < len(keys) else ()
        for measured in new:
            for i, logprobs in measured.items():
                if len(logprobs) != len(by_key[keys[i]].token_ids) or not all(map(math.isfinite, logprobs)):
                    raise UserError(f"engine {engine.name}: it does not tell a finite log-probability for each token of a text.")
            if journal:
                append_to_journal(journal, {keys[i]: logprobs for i, logprobs in measured.items()})
            done.update(measured)
            progress.update(len(measured))
    return found | {key: done[i] for i, key in enumerate(keys)}


_LOGPROBS = TypeAdapter(list[float])


def _kept(_: str, value: Any) -> list[float]:
    return _LOGPROBS.validate_python(value)


def _hashes(files: MeasureFiles) -> dict[str, str | None]:
    """Hashes of all files that likelihoods depend on; None for what is absent."""
    model = files.model
    paths = {"model": model.model, "tokenizer": model.tokenizer, "adapter": model.adapter, "test": files.test}
    of_prompts = {"train": files.train, "demonstrations": files.demonstrations}
    return {name: verified_sha256(path) if path else None for name, path in paths.items()} | {
        name: file_sha256(path) if path else None for name, path in of_prompts.items()
    }


def _folders(files: MeasureFiles) -> list[Any]:
    """What else is in the folders of the model, such as its generation settings."""
    weights = (files.model.model, files.model.adapter)
    return [content_of_model(Path(path).parent, [Path(path).name]) if path else None for path in weights]


def _sources(job: MeasureJob, hashes: Mapping[str, str | None]) -> str:
    """A hash of all that decides on a file of likelihoods: what the job is told, its files, and the code that computes."""
    code = [versions(*PACKAGES), installed_versions(*ALSO_COMPUTING)]
    return fingerprint([_told(job), hashes, _folders(job.files), *code])


def _made_from(files: MeasureFiles) -> str | None:
    """The sources of the likelihoods that are there; None if there are none, or not all of them."""
    likelihoods, manifest = files.written
    try:
        told = json.loads(manifest.read_text(encoding="utf-8"))
        return str(told["sources"]) if len(read_records(likelihoods, Likelihood)) else None
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None


def _journal_of(job: MeasureJob, hashes: Mapping[str, str | None], engine: Engine) -> Path:
    """Where a job keeps what it has measured until it is done. The name is a function of all that likelihoods depend on."""
    of_model = decisive(job.settings.model) | {"quantization": job.settings.quantization, "batch_tokens": job.engine.batch_limit}
    code = [versions(*PACKAGES), installed_versions(*ALSO_COMPUTING), job.settings.version]
    parts = [job.files.likelihoods, hashes, _folders(job.files), job.engine.address, of_model, engine.identity, code]
    return Path(PREDICTION_STATES) / f"{fingerprint(['likelihoods', *parts])[:32]}.jsonl"


def _told(job: MeasureJob) -> dict[str, Any]:
    """The part of a manifest that says what the job was told."""
    told = job.settings.model_dump(exclude={"version"})
    told["model"]["engine"] = job.engine.model_dump()
    return told | {"prompting": decisive(job.settings.prompting), "stage_version": job.settings.version}
