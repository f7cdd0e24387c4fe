"""What the configuration names on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loragrid.config.root import Config
from loragrid.data.render import prompt_template
from loragrid.data.sources import BuiltSource, FileSource, local_files
from loragrid.errors import nearest
from loragrid.inference.settings import VllmEngine
from loragrid.models.sources import PathSource
from loragrid.runtime.templates import syntax_error
from loragrid.training.settings import ContinuedTraining


def missing_files(config: Config) -> Iterator[str]:
    """One sentence for each file on this machine that the configuration names and that is not there."""
    formats = {f"models.{name}": model.prompt_format for name, model in config.models.items()}
    for name, task in config.tasks.items():
        formats |= {
            f"tasks.{name}.prompt_variants.{key}": one.prompt_format
            for key, one in task.prompt_variants.items()
            if one.prompt_format
        }
    for key, prompt_format in formats.items():
        template = prompt_template(prompt_format)
        if template is not None and not template.is_file():
            known = ["auto", "chat", *(found.stem for found in Path("data/prompts").glob("*.jinja"))]
            yield f"{key}.prompt_format: there is no '{template}'; {nearest(prompt_format, known)}"
        elif template is not None and (problem := syntax_error(template.read_text(encoding="utf-8"))):
            yield f"{key}.prompt_format: '{template}' is not a valid template: {problem}"
    pretrained = (("models", config.models), ("encoders", config.encoders), ("reward_models", config.reward_models))
    for section, entries in pretrained:
        for name, entry in entries.items():
            if isinstance(entry.source, PathSource) and not Path(entry.source.path).exists():
                yield f"{section}.{name}.source.path: '{entry.source.path}' does not exist."
    for name, model in config.models.items():
        if model.chat_template is not None and not Path(model.chat_template).is_file():
            yield f"models.{name}.chat_template: '{model.chat_template}' does not exist."
        if isinstance(model.engine, VllmEngine) and model.engine.python is not None and not Path(model.engine.python).is_file():
            yield f"models.{name}.engine.python: '{model.engine.python}' does not exist."
    for name, training in config.configs.items():
        # What the workflow itself makes need not be there yet.
        if isinstance(training, ContinuedTraining) and not training.adapter.startswith("results/"):
            for file in ("adapter_model.safetensors", "adapter_config.json"):
                if not (Path(training.adapter) / file).is_file():
                    yield f"configs.{name}.adapter: '{training.adapter}/{file}' does not exist."
    for name, external in config.external_predictions.items():
        for i, predicted in enumerate(external.files):
            if not Path(predicted.path).is_file():
                yield f"external_predictions.{name}.files[{i}].path: '{predicted.path}' does not exist."
    for name, scorer in config.scorers.items():
        for key, path in scorer.files().items():
            if not Path(path).exists():
                yield f"scorers.{name}.{key}: '{path}' does not exist."
    for name, source in config.sources.items():
        for key, path in local_files(source).items():
            if not Path(path).is_file():
                yield f"sources.{name}.{key}: '{path}' does not exist."


def stated_rows(config: Config) -> dict[tuple[str, str], int]:
    """Training examples of each (task, sample type) before any are dropped, as far as that is known without a download."""
    rows: dict[tuple[str, str], int] = {}
    # Tasks share their files: each is read once.
    counted: dict[str, int] = {}
    for task_name, task in config.tasks.items():
        for sample_type in task.sample_types:
            source = config.sources[task.fields(sample_type)["source"]]
            if isinstance(source, BuiltSource):
                continue
            if (train := source.splits.train or source.splits.all) is None:
                rows[task_name, sample_type] = 0
            elif isinstance(train, str) or not isinstance(source, FileSource):
                continue
            elif train.rows is not None:
                rows[task_name, sample_type] = train.rows
            elif source.package is None and train.path.endswith(".jsonl") and Path(train.path).is_file():
                if train.path not in counted:
                    with open(train.path, "rb") as lines:
                        counted[train.path] = sum(1 for line in lines if line.strip())
                rows[task_name, sample_type] = counted[train.path]
    return rows
