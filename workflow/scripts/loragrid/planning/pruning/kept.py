"""The configurations whose results stay: the configuration given, and those of the other experiments that share `results/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from snakemake.utils import update_config

from loragrid.config.evaluation import Pruning
from loragrid.config.load import parse_config
from loragrid.config.root import Config
from loragrid.errors import UserError
from loragrid.grid.jobs.wanted import tracked, usable_jobs
from loragrid.grid.runs import Grid
from loragrid.layout import RULES
from loragrid.runtime.files import fingerprint
from loragrid.runtime.yaml_files import load_yaml

DEFAULT, EXPERIMENTS = Path("config/config.yaml"), Path("config/experiments")
"""The configuration that all others are laid over, and the folder of the others."""


ENDINGS = (".yaml", ".yml", ".json")


Jobs = list[Mapping[str, Any]]
"""Wildcards of jobs."""


class Kept(NamedTuple):
    """What a configuration asks for or can use."""

    name: str
    """Its files, as they are laid over each other."""
    config: Config
    jobs: Mapping[tuple[str, bool], Jobs]
    """Jobs with results of use, by rule, and by whether these results are in the folder of a named experiment."""
    judges: frozenset[str]
    """Names of the journals of judgements."""
    scorers: frozenset[str]
    """Fingerprints of the settings of scorers."""


def kept_configurations(given: Config, files: Sequence[str | Path]) -> list[Kept]:
    """The configuration given, then those that `prune.keep` names: by default all of `config/experiments`, and the default alone.

    Args:
        files: of the configuration given, as they are laid over each other.

    Raises:
        UserError: if one of them cannot be read, so that nobody knows what it asks for.
    """
    of_given = [path for path in map(_relative, files) if path != DEFAULT]
    named = given.prune.keep
    if named is None:
        found = sorted(path for path in EXPERIMENTS.rglob("*") if path.suffix in ENDINGS and path.name[0] != ".")
        # Of several files that are given together, one alone may be no configuration.
        others = [[], *([path] for path in found if path not in of_given or [path] == of_given)]
    else:
        others = [[Path(entry)] if isinstance(entry, str) else list(map(Path, entry)) for entry in named]
    kept, problems = [configured(given, _name(of_given))], []
    for layer in ([path for path in of_other if path != DEFAULT] for of_other in others):
        try:
            config = parse_config(_read(layer))
        except UserError as error:
            problems += [_told(_name(layer), line) for line in str(error).splitlines()]
            continue
        if layer == of_given and _asked(config) != _asked(given):
            kept[0] = kept[0]._replace(name=f"{_name(layer)} + --config")
        if _asked(config) not in [_asked(one.config) for one in kept]:
            kept.append(configured(config, _name(layer)))
    if problems:
        unknown = "What this configuration asks for is not known, so that nothing is listed or removed."
        advice = "Mend it, or name the configurations whose results stay in prune.keep."
        raise UserError("\n".join([*problems, f"{unknown} {advice}"]))
    return kept


def jobs_of(kept: Iterable[Kept], rule: str, is_named: bool) -> Jobs | None:
    """The jobs of a rule with results that any configuration can use; None if these are all jobs of the rule."""
    of_each = [jobs for one in kept if (jobs := one.jobs.get((rule, is_named))) is not None]
    return [job for jobs in of_each for job in jobs] if of_each or _is_own(rule) else None


def _is_own(rule: str) -> bool:
    return rule in RULES and RULES[rule].is_own


def configured(config: Config, name: str = DEFAULT.as_posix()) -> Kept:
    """What a configuration asks for or can use."""
    jobs: dict[tuple[str, bool], Jobs] = {}
    grid = Grid(config)
    runs: Jobs = [run.wildcards for run in grid.runs.values()]
    by_rule = usable_jobs(grid) | {"trackers": runs, "tracked": tracked(grid)}
    # Rules that gather the whole grid have one job, without wildcards.
    for rule in by_rule.keys() | filter(_is_own, RULES):
        of_rule: Jobs = by_rule.get(rule, [{}])
        is_named = _is_own(rule) and config.experiment is not None
        jobs[rule, is_named] = [{**job, "experiment": config.experiment} for job in of_rule] if is_named else of_rule
    scorers = config.scorers.values()
    return Kept(
        name,
        config,
        jobs,
        frozenset(scorer.judgements.stem for scorer in scorers if scorer.judgements),
        frozenset(fingerprint(scorer.decisive_settings()) for scorer in scorers),
    )


def _asked(config: Config) -> Config:
    """A configuration without what it says about others."""
    return config.model_copy(update={"prune": Pruning()})


def _name(files: Sequence[Path]) -> str:
    return " + ".join(path.as_posix() for path in files) or DEFAULT.as_posix()


def _relative(path: str | Path) -> Path:
    """A path as one writes it in the working directory."""
    path = Path(path)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _read(files: Iterable[Path]) -> dict[str, Any]:
    """What files say that are laid over the default, as Snakemake does it."""
    raw: dict[str, Any] = {}
    for path in [*filter(Path.is_file, [DEFAULT]), *files]:
        try:
            value = load_yaml(path)
        except OSError as error:
            raise UserError(f"{path}: {(error.strerror or str(error)).lower()}.") from None
        if not isinstance(value, Mapping | None):
            raise UserError(f"{path}: expected a mapping of keys to values, not {value!r}.")
        update_config(raw, deepcopy(value or {}))
    return raw


def _told(name: str, line: str) -> str:
    """A problem, after the files that it is in."""
    return line if line.startswith(tuple(name.split(" + "))) else f"{name}: {line}"
