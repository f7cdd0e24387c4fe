"""Jobs of the grid that cannot do what they are asked for: one sentence each, before anything is computed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from loragrid import layout
from loragrid.config.models import BaseModelEntry
from loragrid.config.root import Config
from loragrid.errors import UserError, unknown_name
from loragrid.grid.file_names import long_names
from loragrid.grid.jobs.lookups import why_not_merged
from loragrid.grid.runs import Grid
from loragrid.layout import Run
from loragrid.models.hub import check_repository
from loragrid.models.sources import MergedSource


def impossible_jobs(grid: Grid) -> Iterator[str]:
    """One sentence for each problem of the grid's jobs."""
    yield from long_names(grid)
    yield from unfit_repositories(grid)
    yield from endless_continuations(grid)
    yield from impossible_merges(grid)
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
            where = f"configs.{grid.config.config_of[now.config]}.adapter"
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


def impossible_merges(grid: Grid) -> Iterator[str]:
    """One sentence for each model that is to be a merged run which the grid does not have, which cannot be merged, or which is,
    in the end, made of itself.
    """
    config = grid.config
    for section, entries in (("encoders", config.encoders), ("reward_models", config.reward_models)):
        for name in (name for name, entry in entries.items() if isinstance(entry.source, MergedSource)):
            yield f"{section}.{name}.source.merged: a run is a language model; only a base model can be one."
    merged = {name: entry.source for name, entry in config.models.items() if isinstance(entry.source, MergedSource)}
    for name, source in merged.items():
        where = f"models.{name}.source"
        run = grid.runs.get((source.base_model, source.merged))
        if source.base_model not in config.models:
            yield unknown_name(f"{where}.base_model", "base model", source.base_model, config.models)
        elif run is None:
            known = [of_model for base_model, of_model in grid.runs if base_model == source.base_model]
            yield unknown_name(f"{where}.merged", f"run of base model '{source.base_model}':", source.merged, known)
        elif reason := why_not_merged(config, run):
            yield f"{where}.merged: '{source.merged}' cannot be merged: {reason}"
        elif name in _made_of(merged, name):
            yield f"{where}.base_model: '{name}' would be made of itself."
        elif keys := _prompts_left_open(config.models[name], config.models[source.base_model]):
            said = f"'{source.base_model}' has it, and its run was trained with it. null, or the usual value, asks otherwise."
            yield f"models.{name}: expected {', '.join(keys)} here too: {said}"


def _prompts_left_open(model: BaseModelEntry, base: BaseModelEntry) -> list[str]:
    """The keys that decide on prompts which a base model has, and about which the entry of a merged run of it says nothing."""
    keys = ("prompt_format", "chat_template", "chat_template_arguments", "system_prompt")
    usual = {key: BaseModelEntry.model_fields[key].get_default(call_default_factory=True) for key in keys}
    return [key for key in keys if getattr(base, key) != usual[key] and key not in model.model_fields_set]


def _made_of(merged: Mapping[str, MergedSource], name: str) -> set[str]:
    """The base models of which a merged model is made, one after the other."""
    found: set[str] = set()
    while (source := merged.get(name)) is not None and source.base_model not in found:
        found.add(source.base_model)
        name = source.base_model
    return found


def _start_of(config: Config, run: Run) -> str | None:
    """The file of the adapter that a run continues from, if it is the result of a training."""
    files = config.trainings[run.config].start_files
    path = os.path.normpath(files[0]) if files else ""
    return path if path.startswith(layout.TRAIN.outputs["adapter"].partition("{")[0]) else None


def slow_patterns(config: Config) -> Iterator[str]:
    """One sentence for each regular expression that would keep a training busy for ever before it began."""
    for name, pattern in _patterns(config):
        if not _NESTED.search(pattern):
            continue
        # Python's own matching cannot be interrupted, other than with its process.
        tried = f"import re; [re.fullmatch({pattern!r}, name) for name in {_LONG_NAMES!r}]"
        try:
            subprocess.run([sys.executable, "-c", tried], timeout=_PATIENCE_S, check=False, capture_output=True)
        except subprocess.TimeoutExpired:
            said = "matching one name of a module takes forever; avoid repeated groups that repeat something themselves"
            yield f"configs.{name}.target_modules: with '{pattern}', {said}."


def _patterns(config: Config) -> dict[tuple[str, str], None]:
    """The regular expressions that choose modules, each once in a config, with the config's name."""
    found = ((config.config_of[name], training.module_pattern) for name, training in config.trainings.items())
    return {(name, pattern): None for name, pattern in found if pattern is not None}


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
