"""The exception for mistakes that a user can mend, and hints at what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from os import PathLike, fspath


class UserError(Exception):
    """Something in the input is not as expected. The message names it in one sentence, or in several lines of such sentences."""


class DamagedError(UserError):
    """A result that is not as the job left it that has made it."""

    def __init__(self, path: str | PathLike[str], what: str, delete: str | PathLike[str] | None = None, line: int | None = None):
        """Say what is wrong with a file, and how to mend it.

        Args:
            what: what was found and what was expected.
            delete: the file that is made again once it is gone; by default the damaged one.
            line: where in the file.
        """
        self.path, self.what, self.delete = fspath(path), what, fspath(delete or path)
        where = "" if line is None else f", line {line}"
        super().__init__(f"{self.path}{where}: {what}. Delete {self.delete}; the next snakemake makes it again.")


class StoppedError(UserError):
    """Work was asked to stop. The next job of the same kind goes on from its state."""


def printable(text: str) -> str:
    """A text for a screen, lines as they are: what moves the cursor or turns the text around, as data may hold it, is spelled."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in text)


def nearest(key: str, known: Iterable[str]) -> str:
    """A hint at the known key that is most like `key`, or else at all known keys."""
    known = sorted(known)
    match = difflib.get_close_matches(key, known, n=1)
    return f"did you mean '{match[0]}'?" if match else f"known: {', '.join(known) or 'none'}."


def unknown_name(key: str, what: str, name: str, known: Iterable[str]) -> str:
    """The sentence about a name that refers to nothing.

    Args:
        key: the key of the configuration that holds the name.
        what: what the name should refer to.
    """
    return f"{key}: unknown {what} '{name}'; {nearest(name, known)}"
