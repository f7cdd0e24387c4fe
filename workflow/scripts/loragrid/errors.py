"""The one exception for what a user can mend, and hints at what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something in the input is not as expected; the message is one sentence that names it, or several lines of such."""


def nearest(key: str, known: Iterable[str]) -> str:
    """A hint at the known key most like `key`, or at all of them."""
    known = sorted(known)
    match = difflib.get_close_matches(key, known, n=1)
    return f"did you mean '{match[0]}'?" if match else f"known: {', '.join(known) or 'none'}."


def unknown_name(key: str, what: str, name: str, known: Iterable[str]) -> str:
    """The sentence about a name that nothing has.

    Args:
        key: of the configuration, that holds the name.
        what: is named.
    """
    return f"{key}: unknown {what} '{name}'; {nearest(name, known)}"
