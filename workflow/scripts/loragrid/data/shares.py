"""Parts of data that are cut by a share: what came of it, and whether that is enough."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

FEWEST = {"test": 30, "validation": 10}
"""Fewer examples tell little: of a test set about a model, of a validation set about when to stop."""


class Cut(NamedTuple):
    """A part that was cut by a share."""

    asked: float
    """The share."""
    of: int
    """How many rows it was cut from."""
    rows: int
    """How many it got."""

    @property
    def wanted(self) -> int:
        """How many rows an exact share has: at least one."""
        return max(1, math.floor(self.asked * self.of + 0.5))


def exact_groups(groups: Sequence[str], places: Mapping[str, float], shares: Mapping[str, float], rows: int) -> dict[str, str]:
    """The part of each group that belongs to one, so that each part has its share of the rows as nearly as whole groups allow.

    Groups are taken by their places, the lowest first, for each part in turn.

    Args:
        groups: the group of each row that can be drawn.
        places: of the groups, from 0 to 1.
        shares: of the parts, in the order in which they are cut.
        rows: what the shares are of.
    """
    sizes = Counter(groups)
    ordered = iter(sorted(sizes, key=lambda group: (places[group], group)))
    part_of: dict[str, str] = {}
    waiting = next(ordered, None)
    for part, share in shares.items():
        missing = Cut(share, rows, 0).wanted
        # A group that goes further beyond the share than it is short without it stays out, unless the part would be empty.
        while waiting is not None and missing > 0 and (sizes[waiting] < 2 * missing or part not in part_of.values()):
            part_of[waiting] = part
            missing -= sizes[waiting]
            waiting = next(ordered, None)
    return part_of


def concerns(split: str, examples: int, cut: Cut | None, exact: bool) -> Iterator[str]:
    """What a user should know of a part before anything is concluded from it.

    Args:
        examples: how many it has after cleaning.
        cut: how it was cut, if that was by a share.
        exact: whether the share was cut exactly.
    """
    if cut is not None and 2 * cut.rows < cut.asked * cut.of:
        remedy = "" if exact else f"; for data that will not grow, `split: {{exact: true}}` cuts {cut.wanted:,}"
        yield f"{split}: {described(cut)}: less than half of what was asked{remedy}"
    if examples < FEWEST.get(split, 0) and (split == "test" or cut is not None):
        if split == "test":
            margin = f"a share of right answers is known to ± {1.96 * 0.5 / math.sqrt(max(examples, 1)):.2f} at best"
            yield f"test: {_counted(examples, 'example')}, too few to conclude from: {margin}"
        else:
            yield f"{split}: {_counted(examples, 'example')}, too few to tell when training should end"


def expectation(split: str, share: float, of: int) -> str | None:
    """What a share of rows that are drawn by their hashes may come to, if that may be little; None if it will be enough.

    Args:
        of: how many rows there are to cut from.
    """
    expected, deviation = share * of, math.sqrt(of * share * (1 - share))
    low, high = max(0, math.floor(expected - 2 * deviation)), min(of, math.ceil(expected + 2 * deviation))
    if not share or (low >= expected / 2 and expected >= FEWEST[split]):
        return None
    exact = Cut(share, of, 0).wanted
    return f"{split}: a share of {share:g} of {of:,} rows may be {low} to {high}; `split: {{exact: true}}` cuts {exact}"


def described(cut: Cut) -> str:
    """What came of a share, in words."""
    return f"{cut.rows:,} of {_counted(cut.of, 'row')} ({cut.rows / max(cut.of, 1):.3g}) for a share of {cut.asked:g}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
