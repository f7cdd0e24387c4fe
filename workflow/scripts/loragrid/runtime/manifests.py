"""What jobs say about their results in JSON: manifests, and what these count and hash."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.errors import DamagedError
from loragrid.layout import IMPORT_MODEL, MANIFEST, MERGE, PREPARE_DATASET, TRAIN, TRAIN_FULL
from loragrid.runtime.files import file_sha256
from loragrid.runtime.looking import looked_into

DECLARED = frozenset(
    Path(path).name for files in (IMPORT_MODEL, TRAIN, TRAIN_FULL, PREPARE_DATASET, MERGE) for path in files.outputs.values()
)
"""The files beside a manifest that a rule names. When one of them is gone, Snakemake makes all of them again."""

JSON_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
"""What values in JSON are called."""

SHOWN = 12
"""So many digits of a hash stand in a sentence."""


def read_json(path: str | Path, keys: Iterable[str] = ()) -> dict[str, Any]:
    """The object in a JSON file that a job has written, such as a manifest.

    Args:
        keys: those that it has in any case.

    Raises:
        DamagedError: naming the file, if something else is in it.
    """
    try:
        value = json.loads(Path(path).read_bytes().decode())
    except IsADirectoryError:
        raise DamagedError(path, "this is a folder, not a file with JSON") from None
    except json.JSONDecodeError as error:
        raise DamagedError(path, f"not valid JSON ({error.msg}, line {error.lineno}, column {error.colno})") from None
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, f"not valid JSON ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise DamagedError(path, f"expected a JSON object, not {JSON_KINDS[type(value)]}")
    if missing := [key for key in keys if key not in value]:
        raise DamagedError(path, f"expected the key {missing[0]!r}, which is not there")
    return value


class Stated(NamedTuple):
    """What a manifest says about a file of rows."""

    manifest: Path
    rows: int | None
    """None if it does not say so."""
    sha256: str | None
    """None if it does not say so: manifests of earlier versions hold fewer hashes."""


def stated_about(path: str | Path) -> Stated | None:
    """What the manifest beside a file of rows says about it; None if there is no manifest.

    The file is one of predictions or likelihoods, or a part of a data set or mix.

    Raises:
        DamagedError: naming the manifest, if it is not one.
    """
    path = Path(path)
    of_predictions, of_parts = path.with_name(f"{path.stem}.manifest.json"), path.with_name(MANIFEST)
    if of_predictions.exists():
        told = read_json(of_predictions)
        hash_of_rows = _hash(told, "predictions") or _hash(told, "likelihoods")
        return Stated(of_predictions, _predicted(of_predictions, told), hash_of_rows)
    if of_parts.exists():
        told = read_json(of_parts)
        counts = told.get("examples")
        rows = _total(of_parts, counts.get(path.stem)) if isinstance(counts, dict) else None
        return Stated(of_parts, rows, _hash(told, path.stem))
    return None


def _hash(told: dict[str, Any], name: str) -> str | None:
    hashes = told.get("sha256")
    found = hashes.get(name) if isinstance(hashes, dict) else None
    return found if isinstance(found, str) else None


def _predicted(manifest: Path, told: dict[str, Any]) -> int | None:
    """The number of predictions: as many for each example as the decoding wants."""
    decoding = told.get("decoding")
    samples = decoding.get("samples", 1) if isinstance(decoding, dict) else 1
    examples = _total(manifest, told.get("examples"))
    return None if examples is None else examples * (_total(manifest, samples) or 0)


def _total(manifest: Path, counts: Any) -> int | None:
    """A number of examples; the sum, where a mix counts them by task."""
    of_tasks = counts.values() if isinstance(counts, dict) else [counts]
    if counts is not None and not all(isinstance(count, int) for count in of_tasks):
        raise DamagedError(manifest, f"expected numbers as 'examples', not {counts!r}")
    return None if counts is None else sum(of_tasks)


def refuse_other_content(path: Path, expected: str, manifest: Path, found: str | None = None, delete: Path | None = None) -> None:
    """Compare the hash of a file with that in a manifest.

    Args:
        found: the file's hash, if it is known already.
        delete: as in `DamagedError`; by default the file, or the manifest if the file is none that a rule names.

    Raises:
        DamagedError: if they differ.
    """
    delete = delete or (manifest if manifest.name == MANIFEST and path.name not in DECLARED else path)
    if (found := found or file_sha256(path)) != expected:
        what = f"its SHA-256 is {found[:SHOWN]}…, but {manifest} says {expected[:SHOWN]}…"
        raise DamagedError(path, what, delete)


def stated_hashes(manifest: Path) -> dict[str, str]:
    """The SHA-256 of the files of a model's folder, by name, as far as its manifest says them.

    Raises:
        DamagedError: naming the manifest, if it is not one.
    """
    told = read_json(manifest)
    files, fingerprints = told.get("files", {}), told.get("fingerprints", {})
    if not isinstance(files, dict) or not isinstance(fingerprints, dict):
        raise DamagedError(manifest, "expected hashes by name as 'files' and 'fingerprints'")
    weights = next((name for name in WEIGHTS if (manifest.parent / name).exists()), None)
    trained = {weights: str(fingerprints["adapter"])} if weights and fingerprints.get("adapter") else {}
    return trained | {str(name): str(sha256) for name, sha256 in files.items()}


WEIGHTS = ("adapter_model.safetensors", "model.safetensors")
"""The files of which a training's manifest has the hash as that of the adapter."""


def known_hashes(manifest: Path) -> dict[str, str]:
    """As `stated_hashes`; none if there is no manifest. One that is damaged is told of, and keeps nobody from using the model."""
    return looked_into(manifest, partial(stated_hashes, manifest)) or {}


def verified_sha256(path: str | Path) -> str:
    """The SHA-256 of a file in a model's folder. The manifest beside it has the same hash, or none of this file.

    Raises:
        DamagedError: if the file is not as it was written.
    """
    path, found = Path(path), file_sha256(path)
    manifest = path.with_name(MANIFEST)
    if stated := known_hashes(manifest).get(path.name):
        refuse_other_content(path, stated, manifest, found)
    return found


def refuse_damaged_model(folder: Path, names: Iterable[str] | None = None) -> None:
    """Compare files of a model's folder with the hashes in its manifest. Files of which it has no hash are not checked.

    Args:
        names: of the files; by default all.

    Raises:
        DamagedError: naming the first file that is not as it was written.
    """
    manifest = folder / MANIFEST
    hashes = known_hashes(manifest)
    for name in hashes if names is None else names:
        if name in hashes and (folder / name).exists():
            refuse_other_content(folder / name, hashes[name], manifest)
