"""Where data come from: the sections of the configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from loragrid.data.rows import Row, built_rows, hub_rows, read_rows
from loragrid.errors import UserError
from loragrid.runtime.packages import PackageFile, extract, verify_sha256
from loragrid.runtime.text_files import is_encoding
from loragrid.sections import LATER, Name, OneOf, PinnedPackage, PythonFunction, Section, Sha256

WHERE = (
    "Expression over the fields of a row; rows for which it is false are left out. Text is neither true nor false: compare it, "
    "as in `verified == 'True'`."
)


class DataFile(Section):
    """A file of rows: JSON, JSONL, CSV, TSV, XLSX, Parquet or Arrow by its ending, or blocks of tagged text (TXT).

    It may be plain or have `.gz`, `.bz2` or `.xz` behind its ending. Fields of a CSV or TSV file may also be separated by `;`,
    tabs or `|`, if its header says so; the log tells. Of an XLSX file, the first sheet is read that is not empty. In tagged text
    a line that begins with `<SOME TAG>` starts the field `some_tag`; the first tag of the file starts each block, and a block is
    a row.
    """

    path: str = Field(description="File inside the package, or on this machine if the source names no package.")
    sha256: Sha256 | None = Field(None, description="Expected SHA-256 of the file.")
    rows: int | None = Field(
        None,
        ge=1,
        description="Number of rows, without rows that `where` leaves out. It is checked when the file is read. With this "
        "number, a too large `nb_samples` is refused before anything is downloaded.",
    )
    encoding: Annotated[str | None, LATER] = Field(
        None,
        description="What a file of text is written in, as Python names it: `cp1252` (Windows), `latin-1`, `utf-16-le`. By "
        "default it is UTF-8, or what the byte order mark at its beginning says.",
    )

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        if encoding is not None and not is_encoding(encoding):
            raise ValueError("unknown encoding; expected a name such as utf-8, cp1252, latin-1 or utf-16-le")
        return encoding


class Division(Section):
    """How splits that a source does not have are cut from its rows.

    Rows that are not drawn for validation or test stay in train. A row is drawn by the hash of its question, or of its group.
    With shares, no row moves when others are added; the price is that a small part may come out much smaller or larger than
    asked.
    An exact number cannot promise that: see `exact` and `test_per_task`.
    """

    validation: float = Field(0.0, ge=0, lt=1, description="Share of the rows for validation.")
    test: float = Field(0.0, ge=0, lt=1, description="Share of the rows for test.")
    test_per_task: int | None = Field(
        None,
        ge=1,
        description="Instead of a share, exactly this many test questions: those with the smallest hashes. When questions are "
        "added, one with a smaller hash takes the place of a tested one, which goes to validation or train. No other moves.",
    )
    category: str | None = Field(None, description="Template of a category; each category then has `test_per_task` test rows.")
    group: str | None = Field(
        None, description="Template; all rows with the same text stay in one split. By default, rows with the same question do."
    )
    seed: int = Field(0, ge=0, description="Another seed is another draw.")
    exact: Annotated[bool, LATER] = Field(
        False,
        description="Cut exactly the shares, as nearly as whole groups allow: those with the smallest hashes go to test, the "
        "next to validation. For data that will not grow: added rows would move others from part to part. The manifest says so.",
    )

    @model_validator(mode="after")
    def _has_a_share(self) -> Self:
        if self.exact and not (self.validation or (self.test and not self.test_per_task)):
            raise ValueError("exact needs a share that it cuts; give validation or test")
        return self

    def cut_shares(self, given: Collection[str]) -> dict[str, float]:
        """The shares that are cut for splits that a source lacks, in the order of their places.

        Args:
            given: the splits that it has.
        """
        shares = {"test": 0.0 if self.test_per_task else self.test, "validation": self.validation}
        return {split: share for split, share in shares.items() if share and split not in given}


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


class DataSource(Section):
    """Where data come from."""

    if TYPE_CHECKING:
        # Every source has them as its last fields. Fields of this class would come first in a rule's params.
        where: str | None
        split: Division

    def local_files(self) -> dict[str, str]:
        """The files on this machine that the source reads, by their keys."""
        return {}

    def package_file(self) -> PackageFile | None:
        """The file of the package that holds the rows, for a source that names a package."""
        return None

    def given_splits(self) -> set[str] | None:
        """The splits that the source has, perhaps with `all`; None if they are known only once the source is read."""
        raise NotImplementedError

    def training_rows(self) -> int | None:
        """How many rows there are to train on, before any are dropped; None if that is known only once the source is read."""
        given = self.given_splits()
        return None if given is None or given & {"train", "all"} else 0

    def rows(self, package: Path | None, unpacked: Path) -> Mapping[str, Iterable[Row]]:
        """The rows of each split.

        Args:
            package: the downloaded package, for a source that names one.
            unpacked: a folder for what is unpacked.
        """
        raise NotImplementedError

    def stated_rows(self, split: str) -> int | None:
        """How many rows a split has, as the configuration says; None if it does not say."""
        return None


class BuiltSource(DataSource):
    """Raw data that your own function builds."""

    told_by: ClassVar[str] = "builder"

    builder: PythonFunction = Field(
        description="The function, as `path.py:function`. It is called with `files` and `arguments` as keywords and gives the "
        "rows as mappings: a list, or a mapping of split (`train`, `validation`, `test`, `all`) to list."
    )
    files: dict[Name, str] = Field(default={}, description="Files that the function reads; it gets their paths by these names.")
    arguments: dict[str, Any] = Field(default={}, description="Further arguments of the function.")
    where: str | None = Field(None, description=WHERE)
    split: Division = Field(default=Division(), description="How splits that the function does not give are cut from its rows.")

    def local_files(self) -> dict[str, str]:
        return {"builder": self.builder.rpartition(":")[0]} | {f"files.{name}": path for name, path in self.files.items()}

    def given_splits(self) -> None:
        return None

    def rows(self, package: Path | None, unpacked: Path) -> Mapping[str, Iterable[Row]]:
        return built_rows(self.builder, self.files, self.arguments)


class HubDataset(DataSource):
    """Raw data of the Hugging Face hub."""

    told_by: ClassVar[str] = "hub"

    hub: str = Field(description="Repository id, for example `stanfordnlp/sst2`.")
    name: str | None = Field(None, description="Configuration of the data set, where it has several.")
    revision: str = Field(description="Commit hash or tag; a branch name would make results change over time.")
    splits: HubSplits = Field(description="The data set's own names of the splits.")
    where: str | None = Field(None, description=WHERE)
    split: Division = Field(default=Division(), description="How splits that the data set lacks are cut from its other rows.")

    def given_splits(self) -> set[str]:
        return set(self.splits.model_dump(exclude_none=True))

    def rows(self, package: Path | None, unpacked: Path) -> Mapping[str, Iterable[Row]]:
        return hub_rows(self.hub, self.name, self.revision, self.splits.model_dump(exclude_none=True))


class FileSource(DataSource):
    """Raw data in files, on this machine or inside a package."""

    package: PinnedPackage | None = Field(
        None, description="Package that holds the files, as `name==version`; without it the files are on this machine."
    )
    distribution: Literal["wheel", "source"] = Field(
        "wheel",
        description="Which file of the package to download. A source distribution is needed for files that the wheel leaves out.",
    )
    splits: FileSplits = Field(description="The files.")
    where: str | None = Field(None, description=WHERE)
    split: Division = Field(default=Division(), description="How splits that have no file are cut from the other rows.")

    def files(self) -> dict[str, DataFile]:
        """The files by split."""
        return {split: file for split, file in self.splits if file is not None}

    def local_files(self) -> dict[str, str]:
        return {} if self.package else {f"splits.{split}.path": file.path for split, file in self.files().items()}

    def package_file(self) -> PackageFile | None:
        kind = "tar.gz" if self.distribution == "source" else "whl"
        return PackageFile(self.package, kind) if self.package else None

    def given_splits(self) -> set[str]:
        return set(self.files())

    def training_rows(self) -> int | None:
        train = self.splits.train or self.splits.all
        if train is None:
            return 0
        if train.rows is None and self.package is None and train.path.endswith(".jsonl") and Path(train.path).is_file():
            with open(train.path, "rb") as lines:
                return sum(1 for line in lines if line.strip())
        return train.rows

    def rows(self, package: Path | None, unpacked: Path) -> Mapping[str, Iterable[Row]]:
        found = {}
        for split, file in self.files().items():
            path = Path(file.path) if package is None else extract(package, file.path, unpacked)
            if package is not None and path.is_dir():
                raise UserError(f"{package}: '{file.path}' is a folder; expected one file.")
            verify_sha256(path, file.sha256, file.path)
            found[split] = read_rows(path, file.encoding)
        return found

    def stated_rows(self, split: str) -> int | None:
        return self.files()[split].rows


AnyDataSource = Annotated[DataSource, OneOf()]
"""A builder, a data set of the hub, or files."""
