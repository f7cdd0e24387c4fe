"""Snakemake 9, mended where it decides what runs again: https://github.com/snakemake/snakemake/issues/4166.

The patch can go when that issue is closed and tests/workflow pass without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from snakemake.dag import DAG

from loragrid.patches.versions import is_snakemake_9

_decide = DAG.update_needrun


_traverse = DAG.bfs


class _Firm:
    """The jobs behind a job that surely run again after it. Jobs that only read ancient files of it are not among them."""

    def __init__(self, depending: Any) -> None:
        self.depending = depending

    def __getitem__(self, job: Any) -> dict[Any, Any]:
        return {one: files for one, files in self.depending[job].items() if not all(file.is_ancient for file in files)}


async def _update_needrun(dag: Any, *arguments: Any, **options: Any) -> None:
    def bfs(direction: Any, *jobs: Any, stop: Callable[[Any], bool] = lambda job: False) -> Iterator[Any]:
        yield from _traverse(dag, _Firm(direction) if direction is dag.depending else direction, *jobs, stop=stop)

    dag.bfs = bfs
    try:
        await _decide(dag, *arguments, **options)
    finally:
        del dag.bfs


def look_behind_ancient_inputs() -> None:
    """Have Snakemake look for changed settings and inputs also behind a job that runs again, if its files are ancient to others.

    Unpatched, Snakemake takes everything behind a job that runs again as decided. A job that only ancient files lead to does not
    run then, even if it has reasons of its own. Only the next run of Snakemake sees these reasons.
    """
    if is_snakemake_9():
        DAG.update_needrun = _update_needrun
