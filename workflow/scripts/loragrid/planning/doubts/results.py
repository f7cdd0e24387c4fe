"""Existing results, as checks read them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.errors import UserError
from loragrid.layout import IMPORT_MODEL, MANIFEST, PREDICT, PREPARE_DATASET, TOKENISE, TRAIN, TRAIN_FULL, Dataset, Evaluation
from loragrid.records import Example, Prediction, read_records
from loragrid.runtime.looking import looked_into
from loragrid.runtime.manifests import read_json
from loragrid.text.words import shortened


class Doubt(NamedTuple):
    """A result that a mended fault may have touched."""

    file: str
    """The file to delete, so that it and all that depends on it are made again."""
    evidence: str
    """What the check has found there."""


def doubt(file: str | Path, evidence: str) -> Doubt:
    """A doubt about a file, with evidence on one line."""
    return Doubt(Path(file).as_posix(), shortened(evidence, 160))


def names_of_weights(folder: Path) -> set[str]:
    """The names of the weights in a folder's files, which are not loaded."""
    from safetensors import safe_open

    def names_in(path: Path) -> set[str]:
        with safe_open(path, "np") as weights:
            return set(weights.keys())

    paths = sorted(folder.glob("*.safetensors"))
    return {name for path in paths for name in looked_into(path, partial(names_in, path)) or ()}


def mended_in(manifest: Path) -> int:
    """How many faults were mended in the version that has made a result; 0 if its manifest does not say."""
    return int(_settings(manifest).get("mended", 0))


def _settings(path: Path) -> dict[str, Any]:
    """The content of a JSON file; nothing if there is no such file, or something else in it."""
    try:
        return read_json(path)
    except (OSError, UserError):
        return {}


class Split(NamedTuple):
    """The examples of one split of a data set."""

    path: Path
    dataset: Dataset
    examples: list[Example]

    @property
    def mended(self) -> int:
        """As `mended_in` says of its data set."""
        return mended_in(self.path.with_name(MANIFEST))


def data_sets() -> Iterator[Split]:
    """The splits of all data sets."""
    for output in ("train", "validation", "test"):
        for path in sorted(PREPARE_DATASET.find(output)):
            examples = looked_into(path, partial(read_records, path, Example))
            if examples is not None:
                yield Split(path, Dataset.of(path), examples)


def old_tokens(since: int, base_model: str) -> Iterator[Path]:
    """The tokenised data sets of a base model that were made before so many faults were mended."""
    import pyarrow.parquet as pq

    for path in sorted(TOKENISE.find("tokens", base_model=base_model)):
        schema = looked_into(path, partial(pq.read_schema, path))
        metadata = (schema and schema.metadata) or {}
        if schema is not None and int(metadata.get(b"mended", 0)) < since:
            yield path


class OldPredictions(NamedTuple):
    """A file of predictions."""

    path: Path
    evaluation: Evaluation
    manifest: dict[str, Any]
    predictions: list[Prediction]

    @property
    def parts(self) -> Iterator[dict[str, Any]]:
        """The fields of each answer."""
        return (part for prediction in self.predictions for part in prediction.parts)


def old_predictions(since: int) -> Iterator[OldPredictions]:
    """The predictions, by models or from elsewhere, that were made before so many faults were mended."""
    for manifest in sorted(PREDICT.find("manifest")):
        path = manifest.with_name(manifest.name.removesuffix(".manifest.json") + ".jsonl")
        if mended_in(manifest) < since and path.exists():
            predictions = looked_into(path, partial(read_records, path, Prediction))
            if predictions is not None:
                yield OldPredictions(path, Evaluation.of_predictions(path), _settings(manifest), predictions)


class OldTraining(NamedTuple):
    """A trained model."""

    path: Path
    """Its weights."""
    manifest: dict[str, Any]

    @property
    def base_model(self) -> str:
        return self.path.parts[-3]


def old_trainings(since: int) -> Iterator[OldTraining]:
    """The adapters and whole models that were trained before so many faults were mended."""
    for files in (TRAIN, TRAIN_FULL):
        for path in sorted(files.find("adapter")):
            manifest = path.with_name(MANIFEST)
            if mended_in(manifest) < since:
                yield OldTraining(path, _settings(manifest))


class OldModel(NamedTuple):
    """An imported base model, as far as its small files tell about it."""

    folder: Path

    @classmethod
    def named(cls, name: str) -> OldModel:
        """The base model of this name."""
        return cls(Path(IMPORT_MODEL.path("config", {"base_model": name})).parent)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the import says about it."""
        return _settings(self.folder / MANIFEST)

    @property
    def config(self) -> dict[str, Any]:
        """Its `config.json`."""
        return _settings(self.folder / "config.json")

    @property
    def chat_template(self) -> str:
        """The tokenizer's own; empty if it has none."""
        path = self.folder / "chat_template.jinja"
        own = _settings(self.folder / "tokenizer_config.json").get("chat_template")
        return path.read_text(encoding="utf-8") if path.exists() else own if isinstance(own, str) else ""

    @property
    def ends(self) -> set[int]:
        """The ids that its own settings list as ends of answers."""
        listed = [_settings(self.folder / name).get("eos_token_id") for name in ("config.json", "generation_config.json")]
        return {id_ for ids in listed for id_ in (ids if isinstance(ids, list) else [ids]) if isinstance(id_, int)}

    @property
    def added_tokens(self) -> dict[int, tuple[str, bool]]:
        """The tokens that its tokenizer has beside its vocabulary: their texts, and whether they are special."""
        return _added_tokens((self.folder / "tokenizer.json").absolute())


@cache
def _added_tokens(path: Path) -> dict[int, tuple[str, bool]]:
    added = _settings(path).get("added_tokens") or []
    return {token["id"]: (token["content"], bool(token.get("special"))) for token in added}


def models() -> list[OldModel]:
    """All imported models."""
    return [OldModel(path.parent) for path in sorted(IMPORT_MODEL.find("config"))]
