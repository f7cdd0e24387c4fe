"""Upload of trained models to the Hugging Face hub."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from loragrid.errors import UserError
from loragrid.runtime.files import file_sha256, write_json

LEFT_OUT = ("loss.csv", "manifest.json")
"""Files of a result that describe this machine rather than the model."""


def stage(result: Path, staged: Path, base_model: str | None) -> dict[str, str]:
    """Copy what is to be uploaded.

    Args:
        base_model: id of the base model on the hub, which an adapter then names instead of a folder of this machine.

    Returns:
        The files with their SHA-256.
    """
    shutil.copytree(result, staged, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_OUT, ".*"))
    config = staged / "adapter_config.json"
    if base_model and config.exists():
        settings = json.loads(config.read_text(encoding="utf-8")) | {"base_model_name_or_path": base_model}
        write_json(config, settings)
    return {path.name: file_sha256(path) for path in sorted(staged.iterdir())}


def check_repository(repository: str) -> None:
    """Find fault with a repository's name before anything is uploaded.

    Raises:
        UserError: naming the repository and the rule that it breaks.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"hub.repository: {error}") from None


def push(folder: Path, repository: str, private: bool) -> str:
    """Upload a folder as a model repository, which is made if need be.

    The token comes from the environment variable `HF_TOKEN`, the hub's address from `HF_ENDPOINT` if it is not the usual one.

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
