"""Upload of trained models to the Hugging Face hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import string
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import Field, field_validator

from loragrid.errors import UserError
from loragrid.layout import Run
from loragrid.models.sources import AnyModelSource
from loragrid.runtime.files import file_sha256, write_json
from loragrid.runtime.job import log
from loragrid.runtime.manifests import read_json, refuse_damaged_model
from loragrid.sections import Section, StageSettings

LEFT_OUT = ("loss.csv", "manifest.json")
"""Files of a result that describe this machine, not the model."""


class HubUpload(Section):
    """Where the target `pushed` uploads trained models."""

    repository: str = Field(
        description="Repository of each model, as `owner/name` with the placeholders `{base_model}`, `{task}`, `{sample_type}`, "
        "`{mix}`, `{nb_samples}`, `{config}`, `{loss_computation}` and `{seed}`."
    )
    merged: bool = Field(False, description="Upload the merged model instead of the adapter.")

    @field_validator("repository")
    @classmethod
    def _placeholders_are_known(cls, repository: str) -> str:
        known = set(Run._fields)
        try:
            parts = list(string.Formatter().parse(repository))
        except ValueError as error:
            raise ValueError(f"not a valid pattern: {error}") from None
        used = {name for _, name, _, _ in parts if name is not None}
        if used - known or not re.fullmatch(r"[^/]+/[^/]+", repository):
            raise ValueError(f"expected owner/name with placeholders out of {', '.join(sorted(known))}")
        # A width such as {seed:9999999999} would make a text of that length.
        if any(format_ or conversion for _, _, format_, conversion in parts):
            raise ValueError("expected placeholders without ':' and '!', as {seed}")
        return repository

    private: bool = Field(True, description="Make new repositories private.")
    dry_run: bool = Field(True, description="Only list under `results/pushed/` what would be uploaded, and where to.")

    @property
    def placeholders(self) -> frozenset[str]:
        """The axes that the pattern names."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.repository) if name is not None)

    def repository_of(self, run: Run) -> str:
        """The repository of a run's model."""
        return self.repository.format(**run._asdict())


class PushSettings(StageSettings):
    """What a job that uploads a model is told."""

    hub: HubUpload = Field(description="Where it goes.")
    source: AnyModelSource = Field(description="Where its base model comes from.")


def upload(settings: PushSettings, result: Path) -> dict[str, Any]:
    """Upload a model, or only list what would be uploaded.

    Args:
        result: its folder.

    Returns:
        A receipt: where it went, its files with their SHA-256, and the commit.

    Raises:
        UserError: naming the repository and what is wrong with it.
    """
    hub = settings.hub
    check_repository(hub.repository)
    with TemporaryDirectory() as staged:
        files = stage(result, Path(staged), settings.source.hub_id)
        commit = None if hub.dry_run else push(Path(staged), hub.repository, hub.private)
    log.info("%s %d files to %s", "would upload" if commit is None else "uploaded", len(files), hub.repository)
    return {**hub.model_dump(), "files": files, "commit": commit}


def stage(result: Path, staged: Path, base_model: str | None) -> dict[str, str]:
    """Copy what is to be uploaded.

    Args:
        base_model: id of the base model on the hub, which an adapter then names instead of a folder of this machine.

    Returns:
        The files with their SHA-256.
    """
    from loragrid.models.usage import asking_of, ship_format

    refuse_damaged_model(result)
    shutil.copytree(result, staged, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_OUT, ".*"))
    if (result / "manifest.json").is_file() and (staged / "tokenizer_config.json").is_file():
        # A whole model that was trained: its tokenizer may still have its base model's chat template.
        ship_format(staged, asking_of(staged, read_json(result / "manifest.json")))
    config = staged / "adapter_config.json"
    if base_model and config.exists():
        settings = json.loads(config.read_text(encoding="utf-8")) | {"base_model_name_or_path": base_model}
        write_json(config, settings)
    return {path.name: file_sha256(path) for path in sorted(staged.iterdir())}


def check_repository(repository: str) -> None:
    """Check a repository's name before anything is uploaded.

    Raises:
        UserError: naming the repository and the rule that it breaks.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # it is documented there

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"hub.repository: {error}") from None


def push(folder: Path, repository: str, private: bool) -> str:
    """Upload a folder as a model repository. The repository is made if need be.

    The token comes from the environment variable `HF_TOKEN`. `HF_ENDPOINT` may hold another address of the hub than usual.

    Returns:
        The commit's id.

    Raises:
        UserError: naming the repository and what the hub says.
    """
    os.environ["HF_HUB_OFFLINE"] = "0"
    from huggingface_hub import HfApi

    if not os.environ.get("HF_TOKEN"):
        raise UserError("hub: uploading needs a token in the environment variable HF_TOKEN.")
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload a model made with loragrid")
    except Exception as error:
        raise UserError(f"hub.repository: '{repository}' could not be uploaded: {error}") from error
    return str(commit.oid)
