"""Import of pretrained models into one layout: config.json, model.safetensors and tokenizer files in a folder."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import Field

from loragrid.errors import UserError
from loragrid.models.gguf_files import read_once, refuse_what_is_not_read
from loragrid.models.sources import AnyModelSource
from loragrid.models.weights import ENCODER, REWARD_MODEL, load_weights, refuse_lfs_pointers, some
from loragrid.runtime.files import file_sha256, folder_written_whole, write_json
from loragrid.runtime.job import circumstances, versions
from loragrid.runtime.model_folders import archive_others
from loragrid.runtime.pretrained import load_tokenizer, read_settings, refuse_foreign_code, unreadable
from loragrid.sections import StageSettings

NO_SHARDS = "10TB"
TOKENIZER_FILES = ("tokenizer.json", "*.model", "*vocab*", "*.tiktoken", "tekken.json", "dict.txt", "*.tokenizer")
"""What files of which transformers makes a tokenizer are called."""


class ImportSettings(StageSettings):
    """What a job that imports a model is told."""

    source: AnyModelSource = Field(description="Where the model comes from.")
    is_encoder: bool = Field(description="Whether it is a sentence encoder.")


def import_model(
    settings: ImportSettings,
    name: str,
    package: Path | None,
    folder: Path,
    threads: int,
    is_reward_model: bool = False,
    named_files: Iterable[str] | None = None,
) -> None:
    """Bring a model from its source into the layout, with a manifest, completely or not at all.

    Args:
        package: the downloaded package, for a source that names one.
        folder: where the model is written.
        named_files: the files that rules name, if the folder's other files are wanted in one archive.

    Raises:
        UserError: if the source is missing, has another hash than expected, or holds no such model.
    """
    started = time.perf_counter()
    convert = import_encoder if settings.is_encoder else import_reward_model if is_reward_model else import_base_model
    with TemporaryDirectory() as unpacked, folder_written_whole(folder) as temporary:
        convert(settings.source.fetch(name, package, Path(unpacked)), temporary)
        write_model_manifest(
            temporary,
            {
                "name": name,
                "source": settings.source.model_dump(),
                "stage_version": settings.version,
                "versions": versions("torch", "transformers"),
                **circumstances(started, "cpu", "as stored", threads),
            },
        )
        if named_files is not None:
            archive_others(temporary, named_files)


def import_base_model(source: Path, destination: Path) -> None:
    """Convert the causal language model in `source`, a folder or a GGUF file, to the layout.

    A GGUF file is dequantised and stored in bfloat16. Other weights keep their type, also if they are stored quantized.

    Raises:
        UserError: naming the source, if it holds no such model, or not all of it.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    from loragrid.models.loading import stored_quantization

    if source.is_file():
        as_file: dict[str, Any] = {"gguf_file": source.name}
        unpacked = GgufConfig(dequantize=True)
        with read_once():
            model = load_weights(
                AutoModelForCausalLM, source.parent, **as_file, dtype=torch.float32, quantization_config=unpacked
            ).to(torch.bfloat16)
            tokenizer = imported_tokenizer(source.parent, **as_file)
            refuse_what_is_not_read(source, model.config)
    elif _language_model(source) and stored_quantization(source) is not None:
        model, tokenizer = None, imported_tokenizer(source)
        _copy_quantized(source, destination)
    else:
        model = load_weights(AutoModelForCausalLM, source, dtype="auto")
        tokenizer = imported_tokenizer(source)
    # The manifest records where a file came from. A path on this machine has no place in the model.
    tokenizer.name_or_path = ""
    if model is not None:
        model.config.name_or_path = ""
        model.save_pretrained(destination, max_shard_size=NO_SHARDS)
    tokenizer.save_pretrained(destination)


def _settings(source: Path) -> dict[str, Any]:
    """The settings of a model folder.

    Raises:
        UserError: naming the folder, if it has none.
    """
    refuse_lfs_pointers(source)
    if (source / "adapter_config.json").is_file():
        raise UserError(f"{source}: this is an adapter, not a model; merge it into its base model first.")
    settings: dict[str, Any] = read_settings(source / "config.json")
    # transformers leaves out settings of answers that it cannot read. They may name the tokens that end an answer.
    if (source / "generation_config.json").exists():
        read_settings(source / "generation_config.json")
    return settings


def _language_model(source: Path) -> dict[str, Any]:
    """The settings of a folder with a language model. Out of others, transformers may make one that nobody trained.

    Raises:
        UserError: naming the folder, and what it holds instead.
    """
    settings = _settings(source)
    for name in settings.get("architectures") or []:
        if name.endswith("ForSequenceClassification"):
            raise UserError(f"{source}: this is a classifier or a reward model ({name}); those go into `reward_models`.")
        if name.endswith("ForMaskedLM"):
            raise UserError(f"{source}: this is a masked language model ({name}); it fills gaps, and cannot continue a text.")
    return settings


def imported_tokenizer(source: Path, **options: Any) -> Any:
    """The tokenizer of a model that is imported.

    Args:
        options: further arguments of `from_pretrained`.

    Raises:
        UserError: naming the folder, if there is no tokenizer.
    """
    if not options and not any(any(source.glob(pattern)) for pattern in TOKENIZER_FILES):
        raise UserError(f"{source}: there is no 'tokenizer.json', and no other file of which it can be made.")
    tokenizer = load_tokenizer(source, **options)
    # transformers makes an empty one where there is none.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise UserError(f"{source}: the tokenizer knows no words: 'tokenizer.json' or the like is missing.")
    return tokenizer


def _copy_quantized(source: Path, destination: Path) -> None:
    """Bring quantized weights into one file without loading them. Loading could need a special device or package."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    weights: dict[str, Any] = {}
    for shard in sorted(source.glob("*.safetensors")):
        try:
            weights |= load_file(shard)
        except SafetensorError as error:
            raise UserError(unreadable(shard, "model", error)) from error
    index = source / "model.safetensors.index.json"
    if index.is_file() and (lost := read_settings(index).get("weight_map", {}).keys() - weights.keys()):
        raise UserError(f"{source}: the files lack weights that '{index.name}' names: {some(lost)}.")
    if not weights:
        raise UserError(f"{source}: there is no '*.safetensors' file; other formats can carry code and are not read.")
    save_file(weights, destination / "model.safetensors", metadata={"format": "pt"})
    for name in ("config.json", "generation_config.json"):
        if (source / name).is_file():
            settings = read_settings(source / name)
            write_json(destination / name, {key: value for key, value in settings.items() if key != "_name_or_path"})


def import_encoder(source: Path, destination: Path) -> None:
    """Copy a sentence encoder, a folder in the layout of sentence-transformers.

    Raises:
        UserError: naming the folder, if it is not such a folder with safetensors weights, all of them.
    """
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    for name in ("modules.json", "config.json", "model.safetensors", "tokenizer_config.json"):
        if not (source / name).is_file():
            raise UserError(f"{source}: a sentence encoder needs the file '{name}'.")
    # Code and weights in other formats are left behind: they are not needed, and some of the formats can carry code.
    unwanted = shutil.ignore_patterns("*.bin", "*.pt", "*.h5", "*.ot", "*.msgpack", "*.pkl", "*.py", "onnx", "openvino", ".*")
    shutil.copytree(source, destination, ignore=unwanted, dirs_exist_ok=True)
    for folder in [destination, *(path for path in destination.rglob("*") if path.is_dir())]:
        refuse_lfs_pointers(folder)
    # Of T5 and its like, which have a decoder too, sentence-transformers takes the encoder alone.
    own_class = MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.get(_settings(source).get("model_type"), "")
    kind = AutoModelForTextEncoding if own_class.endswith("EncoderModel") else AutoModel
    refuse_foreign_code(source, "encoder")
    load_weights(kind, source, ENCODER, dtype="auto")
    imported_tokenizer(source)


def import_reward_model(source: Path, destination: Path) -> None:
    """Bring a sequence classifier, a folder in the layout of transformers, into our layout. Its weights keep their type."""
    from transformers import AutoModelForSequenceClassification

    _settings(source)
    model = load_weights(AutoModelForSequenceClassification, source, REWARD_MODEL, dtype="auto")
    tokenizer = imported_tokenizer(source)
    model.config.name_or_path = tokenizer.name_or_path = ""
    model.save_pretrained(destination, max_shard_size=NO_SHARDS)
    tokenizer.save_pretrained(destination)


def download_from_hub(repository: str, revision: str) -> Path:
    """Fetch a model repository of the Hugging Face hub into the hub's cache, safetensors weights only.

    Raises:
        UserError: naming repository and revision, if it cannot be fetched.
    """
    os.environ["HF_HUB_OFFLINE"] = "0"
    from huggingface_hub import snapshot_download

    try:
        wanted = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
        return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
    except Exception as error:
        raise UserError(f"hub repository '{repository}' at revision '{revision}' could not be fetched: {error}") from error


def write_model_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write `manifest.json`: the given facts and the hash of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    write_json(folder / "manifest.json", facts | {"files": hashes})
