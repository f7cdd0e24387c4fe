"""Jobs of the grid that cannot do what they are asked for: one sentence each, before anything is computed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from loragrid import layout
from loragrid.config.root import Config
from loragrid.errors import UserError
from loragrid.grid.file_names import long_names
from loragrid.grid.runs import Grid
from loragrid.layout import Run
from loragrid.models.hub import check_repository


def impossible_jobs(grid: Grid) -> Iterator[str]:
    """One sentence for each problem of the grid's jobs."""
    yield from long_names(grid)
    yield from unfit_repositories(grid)
    yield from endless_continuations(grid)
    yield from slow_patterns(grid.config)


def unfit_repositories(grid: Grid) -> Iterator[str]:
    """One sentence about trained models that would go to the same repository of the hub, and one about names that it refuses."""
    hub = grid.config.hub
    if hub is None:
        return
    models: dict[str, list[Run]] = {}
    for run in grid.runs.values():
        models.setdefault(hub.repository_of(run).casefold(), []).append(run)
    if together := [runs for runs in models.values() if len(runs) > 1]:
        one, other, *_ = most = max(together, key=len)
        differing = [axis for axis in Run._fields if len({getattr(run, axis) for run in most}) > 1]
        missing = [f"{{{axis}}}" for axis in differing if axis not in hub.placeholders]
        mend = f"add {', '.join(missing)} to the pattern" if missing else "put a sign between the placeholders of the pattern"
        if not missing and len({hub.repository_of(run) for run in most}) > 1:
            mend = "their names differ only in case, which the hub does not tell apart; rename one"
        yield (
            f"hub.repository: {len(most)} models would be uploaded to '{hub.repository_of(one)}', as '{one.name}' of "
            f"'{one.base_model}' and '{other.name}' of '{other.base_model}'; {mend}."
        )
    for runs in models.values():
        repository = hub.repository_of(runs[0])
        try:
            check_repository(repository)
        except UserError as error:
            yield f"{str(error).rstrip('.')}, as for run '{runs[0].name}' of '{runs[0].base_model}'."
            return


def endless_continuations(grid: Grid) -> Iterator[str]:
    """One sentence for each training that goes on from an adapter which, in the end, is its own, or which no run makes."""
    own = {run: layout.TRAIN.path("adapter", run.wildcards) for run in grid.runs.values()}
    run_of = {path: run for run, path in own.items()}
    told: set[str] = set()
    for run in own:
        met, now = [run], run
        while (start := _start_of(grid.config, now)) is not None:
            where = f"configs.{now.config}.adapter"
            before = run_of.get(start)
            if before is None:
                if where not in told and not Path(start).is_file():
                    yield f"{where}: '{Path(start).parent}' does not exist, and no run of the grid makes it."
                told.add(where)
                break
            if before in met:
                if where not in told:
                    said = "itself" if before == now else f"'{before.name}' of '{before.base_model}', which continues from it"
                    yield f"{where}: run '{now.name}' of '{now.base_model}' would continue from {said}."
                told.add(where)
                break
            met.append(before)
            now = before


def _start_of(config: Config, run: Run) -> str | None:
    """The file of the adapter that a run continues from, if it is the result of a training."""
    files = config.configs[run.config].start_files
    path = os.path.normpath(files[0]) if files else ""
    return path if path.startswith(layout.TRAIN.outputs["adapter"].partition("{")[0]) else None


def slow_patterns(config: Config) -> Iterator[str]:
    """One sentence for each regular expression that would keep a training busy for ever before it began."""
    for name, training in config.configs.items():
        pattern = training.module_pattern
        if pattern is None or not _NESTED.search(pattern):
            continue
        # Python's own matching cannot be interrupted, other than with its process.
        tried = f"import re; [re.fullmatch({pattern!r}, name) for name in {_LONG_NAMES!r}]"
        try:
            subprocess.run([sys.executable, "-c", tried], timeout=_PATIENCE_S, check=False, capture_output=True)
        except subprocess.TimeoutExpired:
            said = "matching one name of a module takes forever; avoid repeated groups that repeat something themselves"
            yield f"configs.{name}.target_modules: with '{pattern}', {said}."


_NESTED = re.compile(r"[+*}]\??\)?\)[+*{]")
"""A group that ends with a repetition and is repeated. Only such patterns are tried."""
_LONG_NAMES = (
    "model.layers.0.self_attn.q_proj.base_layer",
    "a" * 40 + "!",
    "a.b.c.d.e.f.g.h.i.j.k!",
    "0" * 40 + "!",
    "_" * 40 + "!",
)
_PATIENCE_S = 3
