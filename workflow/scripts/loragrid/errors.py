"""The one exception for what a user can mend."""


class UserError(Exception):
    """Something in the input is not as expected; the message is one sentence that names it, or several lines of such."""
