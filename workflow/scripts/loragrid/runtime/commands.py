"""Commands of Snakemake as users type them: what theirs was, and how a hint repeats it so that it can be copied."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from loragrid.errors import UserError, nearest

REMEMBERED = "LORAGRID_SNAKEMAKE"
"""The environment variable by which jobs know the user's command."""

_FILES, _SETTINGS = ("--configfile", "--configfiles"), ("--config", "-C")
_TAKING = (*_FILES, *_SETTINGS)
_SUFFIXES = (".yaml", ".yml", ".json")

WITHOUT_COMMAND = ["snakemake", "--cores", "1"]
"""What hints say where no command is known."""

ALL_OF = {
    "prepare_dataset": "datasets",
    "make_mix": "mixes",
    "train": "adapters",
    "train_full": "adapters",
    "predict": "predictions",
    "measure_likelihoods": "likelihoods",
    "check": "checks",
    "probe": "probes",
    "score": "scores",
    "show_prompt": "prompts",
    "export": "exports",
    "export_log": "exports",
    "human_sheet": "human_sheets",
    "merge": "merged",
    "check_merged": "merged",
    "push": "pushed",
    "track": "tracked",
}
"""The target that asks for all jobs of a rule."""


def _repeated() -> argparse.ArgumentParser:
    """The options of Snakemake that say which experiment is meant and where it is computed: hints repeat them."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names in (["--snakefile", "-s"], ["--directory", "-d"], ["--profile"], ["--workflow-profile"], ["--cores", "-c"]):
        parser.add_argument(*names, nargs="?", const="all", action="append", default=[])
    parser.add_argument("--jobs", "-j", action="append", default=[])
    parser.add_argument("--config", "-C", nargs="*", default=[])
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
    return parser


def repeated_options(arguments: Sequence[str]) -> list[str]:
    """Those of a command's arguments that a hint repeats, with the targets of the hint to be written before them."""
    known, _ = _repeated().parse_known_args(list(arguments))
    options = []
    for name, values in vars(known).items():
        option = f"--{name.replace('_', '-')}"
        if name in ("config", "configfile"):
            options += [option, *values] if values else []
        else:
            options += [part for value in values for part in (option, value)]
    return options if known.cores or known.jobs or known.profile else ["--cores", "1", *options]


def _program(called: str) -> list[str]:
    """How Snakemake can be called again: by its name if the shell finds it, else as it was called."""
    if shutil.which("snakemake"):
        return ["snakemake"]
    return [called] if Path(called).name == "snakemake" else [sys.executable, "-m", "snakemake"]


def remember_command(arguments: Sequence[str]) -> None:
    """Have hints of this process and of its jobs repeat this command.

    Args:
        arguments: the program and its arguments.
    """
    os.environ[REMEMBERED] = shlex.join([*_program(arguments[0]), *repeated_options(arguments[1:])])


def command(*targets: str) -> str:
    """The command for some targets or options, with the configuration, profile and cores of the user's own command."""
    program = shlex.split(os.environ.get(REMEMBERED, "")) or WITHOUT_COMMAND
    # An option with several values, such as --configfile, would take a target behind it for one more value.
    first = next((place for place, part in enumerate(program) if part.startswith("--")), len(program))
    return shlex.join([*program[:first], *targets, *program[first:]])


def check_command(arguments: Sequence[str]) -> None:
    """Make sure that the options that take all that follows them have taken no target.

    Snakemake reads them before any of our code but a profile, and its word about a target there is a traceback.

    Raises:
        UserError: if a value is no file that there is, or no setting.
    """
    # What is no regular file, such as `<(…)`, is left to Snakemake: it can be read only once.
    missing = [file for file in config_files(arguments) if not Path(file).exists() or Path(file).is_dir()]
    if missing:
        raise UserError(f"--configfile {' '.join(missing)}: there is no such file{_file_hint(arguments, missing)}")
    wrong = [setting for setting in given_settings(arguments) if "=" not in setting]
    if wrong:
        is_file = Path(wrong[0]).suffix in _SUFFIXES
        hint = f"; a file is named by --configfile {wrong[0]}" if is_file else _targets_first(arguments, wrong)
        raise UserError(f"--config {' '.join(wrong)}: expected KEY=VALUE{hint}")


def config_files(arguments: Sequence[str]) -> list[str]:
    """The configuration files that a command names."""
    return list(_taken(arguments, *_FILES))


def given_settings(arguments: Sequence[str]) -> list[str]:
    """The settings, as KEY=VALUE, that a command gives."""
    return list(_taken(arguments, *_SETTINGS))


def _taken(arguments: Sequence[str], *names: str) -> Iterator[str]:
    """What an option takes that takes all that follows, up to the next option."""
    takes = False
    for argument in arguments:
        if argument.startswith("-"):
            name, _, value = argument.partition("=")
            # With a value of its own, it takes no more.
            takes = name in names and not value
            if name in names and value:
                yield value
        elif takes:
            yield argument


def _file_hint(arguments: Sequence[str], wrong: Sequence[str]) -> str:
    path = Path(wrong[0])
    if path.is_dir():
        return f", '{path}' is a folder; name the files in it."
    if path.suffix in _SUFFIXES:
        beside = [file.name for file in path.parent.glob(f"*{path.suffix}")]
        return f"; {nearest(path.name, beside)}" if beside else "."
    return _targets_first(arguments, wrong)


def _targets_first(arguments: Sequence[str], wrong: Sequence[str]) -> str:
    others = [argument for argument in arguments if argument not in wrong]
    # An option that has taken nothing else goes too.
    others = [
        one for one, after in zip(others, [*others[1:], "-"], strict=True) if one not in _TAKING or not after.startswith("-")
    ]
    return f". If a target is meant, put it before the options: {shlex.join(['snakemake', *wrong, *others])}"


def wrong_target(asked: Sequence[str], targets: Collection[str], rules: Collection[str]) -> str:
    """The sentence about the targets of a command that are none.

    Args:
        asked: the targets of the command.
        targets: rules that can be asked for by name.
        rules: all rules.
    """
    sentences = []
    for name in asked:
        if name in rules and name not in targets:
            instead = f"ask for all of them by {command(ALL_OF[name])}" if name in ALL_OF else "ask for one of its files"
            sentences.append(f"'{name}' makes one file at a time; {instead}")
        elif name not in targets and "/" not in name and not Path(name).suffix:
            # What some options take is the rule of one job.
            known = targets if difflib.get_close_matches(name, targets) else {*rules, *targets}
            hint = nearest(name, known if difflib.get_close_matches(name, known) else targets)
            sentences.append(f"'{name}': there is no such target; {hint}")
    return "\n".join(sentences)


def no_such_file(path: str) -> str:
    """The sentence about a file that was asked for by its path, and that no job of this configuration makes."""
    if Path(path).is_dir():
        return f"'{path}' is a folder; name a file in it, or one of the targets (README.md)."
    sentence, parts = f"'{path}': with this configuration, no job makes such a file", Path(path).parts
    if parts[:2] == ("results", "experiments") and len(parts) > 3:
        return f"{sentence}; files of the experiment '{parts[2]}' need its --configfile, and have the names in docs/results.md."
    beside = [file.name for file in Path(path).parent.glob("*") if file.name != Path(path).name]
    close = difflib.get_close_matches(Path(path).name, beside, n=1)
    return f"{sentence}; " + (f"beside it is '{close[0]}'." if close else "docs/results.md says how files are called.")
