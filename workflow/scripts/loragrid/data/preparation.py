"""The job that turns raw data into a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field

from loragrid.data.shares import Cut, concerns, described
from loragrid.data.sources import AnyDataSource
from loragrid.data.splitting import SPLITS, Drafted, clean_splits, divide, draft, pool_of
from loragrid.data.tasks import Cleaning, DataSetFields
from loragrid.errors import UserError
from loragrid.layout import Dataset
from loragrid.records import Example, write_records
from loragrid.runtime.files import file_sha256, fingerprint, write_json
from loragrid.runtime.job import MENDED, log
from loragrid.sections import StageSettings, decisive


class PrepareSettings(StageSettings):
    """What a job that prepares a data set is told."""

    source: AnyDataSource = Field(description="Where the rows come from.")
    fields: DataSetFields = Field(description="How a row becomes an example.")
    cleaning: Cleaning = Field(description="Which examples are dropped.")


def prepare_dataset(
    settings: PrepareSettings,
    task: str,
    sample_type: str,
    package: Path | None,
    tokenizer_folder: Path | None,
    outputs: Mapping[str, str],
    check_test: Callable[[Sequence[Example], Mapping[str, str]], None] = lambda examples, places: None,
) -> None:
    """Map raw data to examples, split and clean them, and write them with their manifest.

    Args:
        package: the downloaded package, for a source that names one.
        tokenizer_folder: of the tokenizer that measures examples, if the cleaning names one.
        outputs: the files `train`, `validation`, `test` and `manifest`.
        check_test: raises a UserError if the test examples do not do. It is also given the places of their rows, by id.

    Raises:
        UserError: if a row, a split or a number of rows is not as the configuration says, or no test example is left.
    """
    name = Dataset(task, sample_type).name
    with TemporaryDirectory() as unpacked:
        rows = settings.source.rows(package, Path(unpacked))
        drafted = {split: list(draft(rows[split], settings.fields, settings.source, task, sample_type)) for split in rows}
    _check_numbers(name, settings, drafted)
    raw = divide(drafted, settings.source.split)
    nb_tokens = None if tokenizer_folder is None else token_counter(tokenizer_folder)
    missing = {d.example.id: d.missing for of_split in drafted.values() for d in of_split if d.missing}
    splits, dropped = clean_splits(raw, settings.cleaning, nb_tokens, missing)
    if not splits["test"]:
        raise UserError(f"{name}: no test example is left; see the splits of its source and its cleaning.")
    check_test(splits["test"], {d.example.id: d.where for of_split in drafted.values() for d in of_split})
    for split in SPLITS:
        write_records(outputs[split], splits[split])
        for reason, ids in dropped[split].items():
            named = [f"{id_} (of {ids[id_]})" for id_ in ids] if isinstance(ids, Mapping) else ids
            log.info("%s: dropped %d of %d examples, %s: %s", split, len(ids), len(raw[split]), reason, ", ".join(named))
        log.info("%s: %d examples", split, len(splits[split]))
    cuts = _cuts(settings, drafted, raw)
    for split, cut in cuts.items():
        log.info("%s: %s%s", split, described(cut), ", cut exactly" if settings.source.split.exact else "")
    for split in ("validation", "test"):
        for concern in concerns(split, len(splits[split]), cuts.get(split), settings.source.split.exact):
            log.warning("warning: %s", concern)
    # As the rule's params: a key that came later changes no manifest that does not use it.
    told = decisive(settings)
    write_json(
        outputs["manifest"],
        {
            "task": task,
            "sample_type": sample_type,
            **{key: told[key] for key in ("source", "fields", "cleaning")},
            "fingerprint": fingerprint([told[key] for key in ("source", "fields", "cleaning", "version")]),
            "stage_version": settings.version,
            "mended": MENDED,
            "examples": {split: len(splits[split]) for split in SPLITS},
            "dropped": dropped,
            **({"cut": {split: cut._asdict() for split, cut in cuts.items()}} if cuts else {}),
            "sha256": {split: file_sha256(outputs[split]) for split in SPLITS},
        },
    )


def _cuts(settings: PrepareSettings, drafted: Mapping[str, list[Drafted]], raw: Mapping[str, list[Example]]) -> dict[str, Cut]:
    """What came of the shares that splits were cut by."""
    rows = len(pool_of(drafted))
    shares = settings.source.split.cut_shares(drafted) if rows else {}
    return {split: Cut(share, rows, len(raw[split])) for split, share in shares.items()}


def _check_numbers(name: str, settings: PrepareSettings, drafted: Mapping[str, list[Drafted]]) -> None:
    """Raise a UserError if a split has no rows, or another number of rows than the configuration says."""
    for split, rows in drafted.items():
        if not rows:
            kept = "" if settings.source.where is None else f" that its 'where' keeps ({settings.source.where})"
            raise UserError(f"{name}: split '{split}' of the source has no rows{kept}.")
        if (stated := settings.source.stated_rows(split)) not in (None, len(rows)):
            raise UserError(f"{name}: split '{split}' has {len(rows)} rows, but the configuration says {stated}.")


def token_counter(folder: Path) -> Callable[[str], int]:
    """A function that counts the tokens of a text."""
    from loragrid.runtime.pretrained import load_tokenizer

    tokenizer = load_tokenizer(folder)
    return lambda text: len(tokenizer(text, add_special_tokens=False).input_ids)
