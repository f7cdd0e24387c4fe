"""Adapters on disk, in peft's standard layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loragrid.files import write_json

if TYPE_CHECKING:
    from peft import PeftModel


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, the same bytes for the same adapter."""
    model.save_pretrained(str(folder))
    # peft's model card is a form to fill in.
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    write_json(path, _sorted(json.loads(path.read_text(encoding="utf-8"))))


def _sorted(value: Any) -> Any:
    # peft holds names of modules in sets, whose order changes from process to process.
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    return value
