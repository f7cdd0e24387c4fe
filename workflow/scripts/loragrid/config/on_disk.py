"""The files that the configuration names on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from loragrid.config.root import Config
from loragrid.data.prompt_templates import prompt_template
from loragrid.errors import nearest
from loragrid.layout import RESULTS
from loragrid.runtime.commands import command
from loragrid.runtime.paths import absence, file_problem, shown
from loragrid.runtime.templates import syntax_error


def missing_files(config: Config) -> Iterator[str]:
    """One sentence for each file that the configuration names and this machine lacks."""
    yield from _unusable_prompt_formats(config)
    for key, path, is_there in _named_paths(config):
        problem = file_problem(path) if is_there is Path.is_file else None if is_there(Path(path)) else absence(path)
        if problem:
            yield f"{key}: '{shown(path)}' {problem}{_until_there(key, problem)}"
    for name, model in config.models.items():
        # Its syntax is the tokenizer's affair.
        file = Path(model.chat_template or "")
        if file.is_file() and (problem := _no_text(file)):
            yield f"models.{name}.chat_template: '{file}' {problem}"


def _named_paths(config: Config) -> Iterator[tuple[str, str, Callable[[Path], bool]]]:
    """The paths that the configuration names: key, path, and how to see whether it is there."""
    pretrained = (("models", config.models), ("encoders", config.encoders), ("reward_models", config.reward_models))
    for section, entries in pretrained:
        for name, entry in entries.items():
            for key, path in entry.source.local_files().items() if entry.source else ():
                yield f"{section}.{name}.source.{key}", path, Path.exists
    for name, model in config.models.items():
        if model.chat_template is not None:
            yield f"models.{name}.chat_template", model.chat_template, Path.is_file
        yield from ((f"models.{name}.engine.{key}", path, Path.is_file) for key, path in model.engine.files().items())
    for name, trainings in config.settings_of.items():
        for file in dict.fromkeys(file for training in trainings.values() for file in training.start_files):
            # Files that the workflow itself makes need not be there yet.
            if not file.startswith(f"{RESULTS}/"):
                yield f"configs.{name}.adapter", file, Path.is_file
    for name, external in config.external_predictions.items():
        for i, predicted in enumerate(external.files):
            yield f"external_predictions.{name}.files[{i}].path", predicted.path, Path.is_file
    for name, scorer in config.scorers.items():
        for key, path in scorer.files().items():
            yield f"scorers.{name}.{key}", path, Path.exists
    if config.forgetting is not None and config.forgetting.text.package is None:
        yield "forgetting.text.path", config.forgetting.text.path, Path.is_file
    for name, source in config.sources.items():
        for key, path in source.local_files().items():
            yield f"sources.{name}.{key}", path, Path.is_file


def _until_there(key: str, problem: str) -> str:
    """How to get the questions for a file of answers that is not there yet."""
    if not key.startswith("external_predictions.") or problem != "does not exist.":
        return ""
    return f" If it is still to be made, put an empty file there: '{command('datasets')}' then writes the ids and questions."


def _unusable_prompt_formats(config: Config) -> Iterator[str]:
    """One sentence for each prompt format with a missing or invalid template."""
    formats = {f"models.{name}": model.prompt_format for name, model in config.models.items()}
    for name, task in config.tasks.items():
        formats |= {
            f"tasks.{name}.prompt_variants.{key}": variant.prompt_format
            for key, variant in task.prompt_variants.items()
            if variant.prompt_format
        }
    for key, prompt_format in formats.items():
        template = prompt_template(prompt_format)
        if template is not None and not template.is_file():
            known = ["auto", "chat", *(path.stem for path in Path("data/prompts").glob("*.jinja"))]
            yield f"{key}.prompt_format: there is no '{template}'; {nearest(prompt_format, known)}"
        elif template is not None and (problem := _no_template(template)):
            yield f"{key}.prompt_format: '{template}' {problem}"


def _no_template(file: Path) -> str | None:
    """Why the text of a file is no template of a prompt, as the end of a sentence; None if it is one."""
    if problem := file_problem(str(file)):
        return problem
    if problem := _no_text(file):
        return problem
    mistake = syntax_error(file.read_text(encoding="utf-8"))
    return f"is not a valid template: {mistake}" if mistake else None


def _no_text(file: Path) -> str | None:
    """Why a file is no UTF-8 text, as the end of a sentence; None if it is."""
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return f"is not UTF-8 text (byte {error.start + 1} is 0x{error.object[error.start]:02X}); save it as UTF-8."
    return None


def stated_rows(config: Config) -> dict[tuple[str, str], int]:
    """Training examples of each (task, sample type) before any are dropped, if known without a download."""
    data_sets = [(task, sample_type) for task, settings in config.tasks.items() for sample_type in settings.sample_types]
    sources = {data_set: config.tasks[data_set[0]].data_set(data_set[1]).source for data_set in data_sets}
    # Data sets share their sources. Each source is looked at once.
    rows = {name: config.sources[name].training_rows() for name in dict.fromkeys(sources.values()) if name is not None}
    return {data_set: known for data_set, name in sources.items() if name and (known := rows[name]) is not None}
