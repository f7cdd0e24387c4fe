"""What Snakemake tells a job, as plain data: the same from the job itself and from the list of all jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self


class Told(NamedTuple):
    """What Snakemake tells a job."""

    rule: str
    wildcards: dict[str, str]
    params: dict[str, Any]
    input: dict[str, Any]
    """Paths, or lists of paths, by name."""
    output: dict[str, str]
    log: str
    threads: int
    resources: dict[str, Any]
    message: str = ""
    """What the screen says of it."""
    environment: str = ""
    """The folder of its software environment, if Snakemake makes environments."""

    @classmethod
    def of(cls, job: Any, message: str = "", environment: str = "") -> Self:
        """What a job is told.

        Args:
            job: the object `snakemake` of a script, or a job of Snakemake's graph of jobs.
        """
        rule = job.rule if isinstance(job.rule, str) else job.rule.name
        return cls(
            rule,
            {name: str(value) for name, value in job.wildcards.items()},
            {name: _plain(value) for name, value in job.params.items()},
            {name: _plain(value) for name, value in job.input.items()},
            {name: str(value) for name, value in job.output.items()},
            str(job.log[0]),
            int(job.threads),
            {name: value for name, value in job.resources.items() if isinstance(value, int | float | str)},
            message,
            environment,
        )

    @property
    def base_model(self) -> str:
        """The base model that the job works with."""
        return self.wildcards["base_model"]

    def with_inputs(self, where: Mapping[str, str]) -> Self:
        """The same, with inputs that lie elsewhere for now.

        Args:
            where: the present places of these files.
        """
        moved = {
            name: [where.get(path, path) for path in paths] if isinstance(paths, list) else where.get(paths, paths)
            for name, paths in self.input.items()
        }
        return self._replace(input=moved)

    @property
    def last_output(self) -> str:
        """The output that the job writes last: its manifest, if it has one."""
        return self.output.get("manifest") or next(iter(self.output.values()))

    @property
    def title(self) -> str:
        """What the job is, for a reader."""
        return self.message or self.log

    @property
    def inputs(self) -> list[str]:
        """All paths that the job reads."""
        return [path for paths in self.input.values() for path in (paths if isinstance(paths, list) else [paths])]


def _plain(value: Any) -> Any:
    """A value without Snakemake's own types."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
