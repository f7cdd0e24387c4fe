"""Levels of measurement."""

from __future__ import annotations

from typing import Literal

Level = Literal["nominal", "ordinal", "interval"]
"""What the distance between two ratings means."""
