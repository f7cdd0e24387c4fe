"""Where libraries load pretrained models, tokenizers and encoders: the one place, so that no code that a model brings is run.

transformers would ask on the standard input whether to run such code, and any input answers it. Here nobody is asked.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loragrid.errors import DamagedError, UserError
from loragrid.layout import MANIFEST, RESULTS
from loragrid.runtime.job import log
from loragrid.runtime.manifests import DECLARED, JSON_KINDS
from loragrid.runtime.system_errors import cannot

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_WORDS_OF_REMOTE_CODE = ("trust_remote_code", "custom code", "third-party code", "allow_all_kernels")
_SHOWN_CHARACTERS = 300
"""So much of a library's own message stands in a sentence."""


def load_pretrained(kind: Any, folder: Path, what: str = "model", **options: Any) -> Any:
    """What a class of transformers makes of a folder. Code that the folder brings is never run.

    Args:
        kind: the class, such as `AutoModelForCausalLM`.
        what: it is, for messages.
        options: further arguments of `from_pretrained`.

    Raises:
        UserError: if it needs code of its own. Everything else is raised as the library raises it.
    """
    if "gguf_file" not in options:
        refuse_foreign_code(folder, what)
    with nobody_answers():
        try:
            return kind.from_pretrained(folder, trust_remote_code=False, **options)
        except Exception as error:
            if _is_about_code(error):
                raise UserError(needs_code(folder, what)) from error
            raise


def load_config(folder: Path) -> Any:
    """The configuration of a model's folder.

    Raises:
        UserError: naming the folder and what is wrong with it.
    """
    from transformers import AutoConfig

    try:
        return load_pretrained(AutoConfig, folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise UserError(unreadable(folder, "model", error)) from error


def load_tokenizers_only() -> None:
    """Have this process, which loads no model, use transformers without torch: importing torch takes most of its time.

    transformers then has configurations and tokenizers, and they are the same. To be called before it is imported.
    """
    # What `sys.modules` maps to None cannot be imported (Python's reference, 5.3.1).
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    # It would say that PyTorch is missing.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")


def load_tokenizer(folder: Path | str, **options: Any) -> Any:
    """The tokenizer of a folder.

    Args:
        options: further arguments of `from_pretrained`.

    Raises:
        UserError: naming the folder and what is wrong with it.
    """
    from transformers import AutoTokenizer

    folder = Path(folder)
    try:
        return load_pretrained(AutoTokenizer, folder, "tokenizer", **options)
    except UserError:
        raise
    except Exception as error:
        # A tokenizer's own code fails in any way over files that are not as it expects.
        log.info("the tokenizer in %s cannot be loaded", folder, exc_info=error)
        raise UserError(unreadable(folder, "tokenizer", error)) from error


def load_sentence_transformer(folder: Path) -> SentenceTransformer:
    """An encoder by the library `sentence-transformers`, on the device that the library chooses.

    Raises:
        UserError: naming the folder and what is wrong with it.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    refuse_foreign_code(folder, "encoder")
    with nobody_answers():
        try:
            encoder = SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False)
            _pad_with_a_token_that_has_an_embedding(encoder)
            return encoder
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if _is_about_code(error):
                raise UserError(needs_code(folder, "encoder")) from error
            log.info("the encoder in %s cannot be loaded", folder, exc_info=error)
            raise UserError(unreadable(folder, "encoder", error)) from error


def _pad_with_a_token_that_has_an_embedding(encoder: SentenceTransformer) -> None:
    """Batches are filled up with any token, since it is masked. Some tokenizers have none, or got one later than their model."""
    tokenizer, config = encoder.tokenizer, getattr(getattr(encoder[0], "auto_model", None), "config", None)
    rows = getattr(config, "vocab_size", None)
    pad = getattr(tokenizer, "pad_token_id", 0)
    if rows is not None and (pad is None or pad >= rows):
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)


def load_peft(base: Any, folder: Path, is_trainable: bool) -> tuple[Any, Any]:
    """A model with an adapter in peft's layout, and what peft says of the adapter's weights.

    Raises:
        UserError: if its weights are in a format that can carry code. Everything else is raised as the library raises it.
    """
    from peft import PeftModel

    refuse_foreign_code(folder, "adapter")
    if folder.is_dir() and not (folder / "adapter_model.safetensors").is_file():
        raise UserError(f"{folder}: there is no 'adapter_model.safetensors'; other formats can carry code and are not read.")
    with nobody_answers():
        adapted = PeftModel.from_pretrained(base, str(folder), is_trainable=is_trainable)
        # The first time, peft keeps to itself what it did not find.
        return adapted, adapted.load_adapter(str(folder), "default", is_trainable=is_trainable)


@contextmanager
def nobody_answers() -> Iterator[None]:
    """An empty standard input, so that a library's question has no answer, whatever waits on the real one."""
    before = sys.stdin
    sys.stdin = io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def refuse_foreign_code(folder: Path, what: str) -> None:
    """Refuse a folder whose files name code that a library would import or download.

    An `auto_map` alone is no reason: many models bring code from the time before transformers knew their type. It is left aside
    then, and a library that needs it says so.

    Raises:
        UserError: naming the file and what it asks for.
    """
    folders = [folder]
    if what == "encoder" and (folder / "modules.json").is_file():
        folders += _module_folders(folder / "modules.json")
    for path in [one / name for one in folders for name in ("config.json", "adapter_config.json")]:
        if not path.is_file():
            continue
        settings = read_settings(path)
        if kernel := _foreign_kernel(settings):
            raise UserError(f"{path}: {kernel[0]} '{kernel[1]}' is program code of a hub, which is never run here.")
        if named := named_code(settings):
            log.info("%s: the %s brings code of its own (%s), which is not run", path, what, ", ".join(named))


def _module_folders(path: Path) -> list[Path]:
    """The folders of an encoder's modules.

    Raises:
        UserError: naming the file, if a module is not one of the library.
    """
    folders = []
    for module in read_settings(path, list):
        kind, place = (module.get(key) if isinstance(module, Mapping) else None for key in ("type", "path"))
        if not isinstance(kind, str) or not isinstance(place, str):
            raise UserError(f"{path}: expected a list of modules, each with its type and path.")
        if kind.partition(".")[0] != "sentence_transformers":
            raise UserError(f"{path}: the module '{kind}' is program code of the encoder's own, which is never run here.")
        folders.append(path.parent / place)
    return folders


def _foreign_kernel(settings: Any) -> tuple[str, str] | None:
    """The first setting that names a kernel of a hub as what computes, with its value."""
    for key, value in _pairs(settings):
        if key.strip("_").startswith(("attn_implementation", "experts_implementation")):
            names = value.values() if isinstance(value, Mapping) else [value]
            if found := next((name for name in names if isinstance(name, str) and "/" in name), None):
                return key, found
    return None


def named_code(settings: Any) -> list[str]:
    """The code that settings name as a model's own, by `auto_map` on whatever level."""
    found: list[str] = []
    for key, value in _pairs(settings):
        if key == "auto_map" and value:
            for names in value.values() if isinstance(value, Mapping) else [value]:
                found += [name for name in (names if isinstance(names, list) else [names]) if isinstance(name, str)]
    return list(dict.fromkeys(found))


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, on every level."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield str(key), one
            yield from _pairs(one)
    elif isinstance(value, list):
        for one in value:
            yield from _pairs(one)


def _no_settings(path: Path, what: str) -> UserError:
    """The sentence about a JSON file of a model that is none, with the way to mend it."""
    manifest = path.with_name(MANIFEST)
    if path.parts[:1] != (RESULTS,) or not manifest.exists():
        return UserError(f"{path}: {what}: fetch it again.")
    return DamagedError(path, what, path if path.name in DECLARED else manifest)


def read_settings(path: Path, kind: type = dict) -> Any:
    """A JSON file of a model.

    Args:
        kind: what it holds.

    Raises:
        UserError: naming the file, and the line and column of what is no JSON. Of a model that a job has made, it says what to
            delete.
    """
    try:
        settings = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: this file is missing; a model's folder needs it.") from None
    except json.JSONDecodeError as error:
        hint = "it is empty" if not path.stat().st_size else f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise _no_settings(path, f"this file is no valid JSON ({hint})") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise _no_settings(path, f"this file is no valid JSON ({type(error).__name__})") from None
    except OSError as error:
        raise UserError(cannot(path, error)) from None
    if not isinstance(settings, kind):
        raise UserError(f"{path}: expected a JSON {'object' if kind is dict else 'list'}, found {JSON_KINDS[type(settings)]}.")
    return settings


def _is_about_code(error: Exception) -> bool:
    said = str(error)
    return any(word in said for word in _WORDS_OF_REMOTE_CODE)


def needs_code(folder: Path, what: str) -> str:
    """The sentence about a model that nothing can load without the code that it brings."""
    files = [path for path in sorted(folder.glob("*.json")) if folder.is_dir()]
    named = next(((path, code) for path in files if (code := _code_in(path))), None)
    which = f" ({named[0].name} names {named[1][0]} in its auto_map)" if named else ""
    return (
        f"{folder}: the {what} needs program code of its own{which}, which is never run here; only types of transformers are "
        f"read. If its type is one of them, take auto_map out of the file, else choose another {what}."
    )


def _code_in(path: Path) -> list[str]:
    try:
        return named_code(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return []


def unreadable(name: Path, what: str, error: Exception) -> str:
    """The sentence about a model or tokenizer that its library does not read."""
    if isinstance(error, UserError):
        return str(error)
    folder = name if name.is_dir() else name.parent
    if _is_about_code(error):
        return needs_code(folder, what)
    if isinstance(error, ImportError):
        return f"{name}: the {what} needs another package: {_first_words(error)}"
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return cannot(Path(error.filename), error)
    for file in sorted(folder.glob("*.json")):
        # The library says which character is wrong, but not in which file.
        try:
            if file.name.endswith("config.json") or file.name in ("tokenizer.json", "model.safetensors.index.json"):
                read_settings(file)
        except UserError as problem:
            return str(problem)
    if what == "tokenizer" and (package := _package_for_tokenizer(folder)):
        return (
            f"{folder}: there is no 'tokenizer.json', and the {package[0]} needs another package to be read: "
            f".venv/bin/python -m pip install {package[1]}"
        )
    if (number_type := _unknown_number_type(folder)) and what != "tokenizer":
        expected = "expected float32, bfloat16 or float16"
        return f"{folder / 'config.json'}: {number_type[0]} is {number_type[1]!r}; {expected}."
    if (kind := _unknown_type(folder)) and what != "tokenizer":
        from transformers import __version__

        return f"{folder / 'config.json'}: model_type is '{kind}', which transformers {__version__} does not know."
    said = f"there is no {error}" if isinstance(error, KeyError) else _first_words(error)
    return f"{name}: the {what} cannot be loaded: {said or type(error).__name__}"


def _first_words(error: Exception) -> str:
    return textwrap.shorten(str(error), _SHOWN_CHARACTERS, placeholder=" …")


def _unknown_type(folder: Path) -> str | None:
    """The type that a model's settings name, if transformers does not know it."""
    from transformers import CONFIG_MAPPING

    path = folder / "config.json"
    kind = read_settings(path).get("model_type") if path.is_file() else None
    return kind if isinstance(kind, str) and kind not in CONFIG_MAPPING else None


def _unknown_number_type(folder: Path) -> tuple[str, Any] | None:
    """The setting of a model's number type with its value, if torch knows no such floating-point type."""
    import torch

    path = folder / "config.json"
    settings = read_settings(path) if path.is_file() else {}
    for key in ("dtype", "torch_dtype"):
        value = settings.get(key)
        known = getattr(torch, value.removeprefix("torch."), None) if isinstance(value, str) else None
        if value is not None and not (isinstance(known, torch.dtype) and known.is_floating_point):
            return key, value
    return None


_PACKAGES = {"*.model": ("sentencepiece", "sentencepiece protobuf"), "*tiktoken*": ("tiktoken", "tiktoken")}
"""By the files of a tokenizer: the module that reads them, and what is to be installed."""


def _package_for_tokenizer(folder: Path) -> tuple[str, str] | None:
    """The file of a tokenizer that a missing package reads, with what is to be installed."""
    if (folder / "tokenizer.json").is_file():
        return None
    for pattern, (module, packages) in _PACKAGES.items():
        if (file := next(iter(sorted(folder.glob(pattern))), None)) and importlib.util.find_spec(module) is None:
            return f"file '{file.name}'", packages
    return None
