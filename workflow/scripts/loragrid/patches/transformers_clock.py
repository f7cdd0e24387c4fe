"""The clock of chat templates in transformers 5, set to a date: a prompt must not depend on the day on which it is written.

Chat templates ask for the day by `strftime_now`, which transformers defines itself and lets no argument replace. We know of no
issue about it. The patch can go when an argument of `apply_chat_template` says what time it is.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def clock_at(day: str) -> Iterator[None]:
    """Chat templates that are filled meanwhile are told that it is midnight of this day, in the form YYYY-MM-DD.

    Raises:
        AttributeError: if transformers has its clock elsewhere.
    """
    from transformers.utils import chat_template_utils as module

    now = datetime.datetime.fromisoformat(day)

    class Standing:
        @staticmethod
        def now(*_: Any) -> datetime.datetime:
            return now

    clock = module.datetime
    module.datetime = Standing
    try:
        yield
    finally:
        module.datetime = clock
