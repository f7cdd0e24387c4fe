"""The one exception for what a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Something in the input is not as expected; the message is one sentence that names it, or several lines of such."""
