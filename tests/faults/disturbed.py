"""Projects that are disturbed at random moments, again and again, until they come to their end."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from faults.lives import Life
from projects import Project

KILLS_PER_LIFE = 25
"""After so many, a project comes to its end, and a new one begins."""


class Summary(NamedTuple):
    """What came of all lives."""

    kills: int
    by_kind: dict[str, int]
    by_stage: dict[str, int]
    computed: dict[str, int]
    for_others: int
    """Kills of processes that worked for other jobs than their own."""
    wrong: list[str]
    """What should not have happened."""
    seconds: float


def disturb(
    kills: int,
    seed: int,
    folder: Path,
    make: Callable[[Path], Project],
    expected: dict[str, str],
    tell: Callable[[str], None] = print,
) -> Summary:
    """Run projects to their end, with so many kills on the way.

    Args:
        make: fills a folder with a project in which nothing is computed.
        expected: the results of the same project, undisturbed.
    """
    chance, started, lives = Random(seed), time.monotonic(), list[Life]()
    while (left := kills - sum(len(life.kills) for life in lives)) > 0:
        life = Life(
            folder / f"life{len(lives)}",
            make,
            Random(chance.random()),
            Counter(kill["stage"] for one in lives for kill in one.kills),
        )
        lives.append(life)
        with life:
            life.disturb(min(left, KILLS_PER_LIFE), tell)
            life.come_to_its_end(expected)
        tell(json.dumps({"life": len(lives), "kills": len(life.kills), "runs": life.runs, "wrong": life.wrong}))
        if not life.wrong:
            shutil.rmtree(life.folder)
        if len(life.kills) == 0:
            life.wrong.append("a whole life went by without a kill")
            break
    all_kills = [kill for life in lives for kill in life.kills]
    computed = Counter[str]()
    for life in lives:
        computed.update(life.computed())
    return Summary(
        len(all_kills),
        dict(Counter(kill["kind"] for kill in all_kills)),
        dict(Counter(kill["stage"] for kill in all_kills)),
        dict(computed),
        sum(kill.get("for_others", False) for kill in all_kills),
        [f"life {number}: {line}" for number, life in enumerate(lives, 1) for line in life.wrong],
        round(time.monotonic() - started, 1),
    )
