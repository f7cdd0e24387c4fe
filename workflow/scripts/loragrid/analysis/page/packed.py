"""Data as they are put into the page: JSON, compressed, in letters that HTML cannot take for anything else."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any


def packed(data: Any) -> str:
    """Plain data as base64 of compressed JSON. The same data give the same text.

    Raises:
        ValueError: if a number is not finite, for which JSON has no form.
    """
    # Halves of surrogate pairs, which texts of models may hold, have no form but an escape.
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    # With a time in it, the same report would never be the same file.
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")


def unpacked(text: str) -> Any:
    """The inverse of `packed`."""
    return json.loads(gzip.decompress(base64.b64decode(text)))
