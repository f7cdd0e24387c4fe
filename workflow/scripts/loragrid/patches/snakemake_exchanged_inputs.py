"""Snakemake 9, told of inputs that a result was not made with and that do not outdate it.

Experiments that share a result may have different files in the place of some of its inputs. Snakemake runs a job again when the
set of its inputs has changed, when an input is newer than its result, and when an input has to be made. It knows no exception: a
file that is flagged as ancient is one only if it exists. The patch can go when inputs can be flagged so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snakemake.dag import DAG
from snakemake.persistence import PersistenceBase

from loragrid.patches.versions import is_snakemake_9


class Exchanged(NamedTuple):
    """Inputs of a rule that may be exchanged."""

    is_one: Callable[[str], bool]
    """Whether an input, by its path, is one of them."""
    is_kept: Callable[[str], bool]
    """Whether a result, by its path, stays as it is when one of them comes or goes."""


class _Counted:
    """The jobs behind a job, without those that only read files of it that do not count for them."""

    def __init__(self, depending: Any, uncounted: Mapping[Any, set[Any]]) -> None:
        self.depending, self.uncounted = depending, uncounted

    def __getitem__(self, job: Any) -> dict[Any, Any]:
        behind = self.depending[job]
        return {one: files for one, files in behind.items() if one not in self.uncounted or not files <= self.uncounted[one]}


def let_inputs_be_exchanged(exchanged: Mapping[str, Exchanged]) -> None:
    """Have Snakemake run no job again because of inputs that its result was not made with, or was made with and lacks now.

    Args:
        exchanged: which inputs these are, for the rules that have such inputs. All other inputs count as ever.
    """
    if is_snakemake_9():
        _patch(exchanged, DAG.update_needrun, PersistenceBase._input_changed)


def _patch(exchanged: Mapping[str, Exchanged], decide: Any, compare: Any) -> None:
    def is_changed(persistence: Any, job: Any, file: Any = None) -> bool:
        if not compare(persistence, job, file):
            return False
        inputs = exchanged.get(job.rule.name)
        different = set(persistence.input(file)) ^ set(persistence._input(job))
        return inputs is None or not all(map(inputs.is_one, different)) or not inputs.is_kept(str(file))

    def uncounted_inputs(dag: Any) -> Iterator[tuple[Any, set[Any]]]:
        for job in dag.jobs:
            if (inputs := exchanged.get(job.rule.name)) is None:
                continue
            files = {file for file in job.input if inputs.is_one(_path(file))}
            result = job.output[0]
            recorded = dag.workflow.persistence.input(result) if files else None
            # A result without a record may have been copied from elsewhere.
            made_with = set(recorded or ())
            files = {file for file in files if _path(file) not in made_with}
            if files and (recorded is not None or Path(result).exists()) and inputs.is_kept(str(result)):
                yield job, files

    async def update_needrun(dag: Any, *arguments: Any, **options: Any) -> None:
        uncounted, depending = dict(uncounted_inputs(dag)), dag.depending
        for files in uncounted.values():
            for file in files:
                # Its age does not count.
                file.flags["ancient"] = True
        dag.depending = _Counted(depending, uncounted)
        try:
            await decide(dag, *arguments, **options)
        finally:
            dag.depending = depending

    DAG.update_needrun = update_needrun
    PersistenceBase._input_changed = is_changed


def _path(file: Any) -> str:
    """An input as Snakemake records it."""
    return str(file.storage_object.query if file.is_storage else file)
