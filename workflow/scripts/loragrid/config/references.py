"""Whether the names in the configuration refer to something: one sentence for each name that does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from loragrid.config.blocks import broken_block
from loragrid.config.choices import broken_selection
from loragrid.config.comparisons import broken_comparisons
from loragrid.config.evaluation import ExternalPredictions
from loragrid.config.root import Config
from loragrid.config.spelling import names_alike
from loragrid.config.sweeps import broken_sweeps
from loragrid.data.sources import DataSource
from loragrid.data.tasks import DataSetFields, Task
from loragrid.errors import unknown_name
from loragrid.layout import BASELINE, EXTERNAL
from loragrid.runtime.templates import expression_error, syntax_error
from loragrid.scoring.human_sheets import HumanEvaluation


def broken_references(config: Config) -> Iterator[str]:
    """One sentence for each name that refers to nothing, and each combination that cannot exist."""
    yield from names_alike(config)
    yield from _taken_names(config)
    yield from broken_sweeps(config)
    for name, scorer in config.scorers.items():
        yield from (f"scorers.{name}.{problem}" for problem in scorer.problems(config))
    for name, evaluation in config.human_evaluations.items():
        yield from _broken_human_evaluation(config, f"human_evaluations.{name}", evaluation)
    for name, task in config.tasks.items():
        yield from _broken_task(config, f"tasks.{name}", task)
    for name, prompting in config.promptings.items():
        if (encoder := prompting.needed_encoder) is not None and encoder not in config.encoders:
            yield unknown_name(f"promptings.{name}.encoder", "encoder", encoder, config.encoders)
    yield from _kept_names(config)
    for name, model in config.models.items():
        yield from (f"models.{name}.{problem}" for problem in model.engine.problems(model.quantization))
    for name, source in config.sources.items():
        yield from _broken_source(f"sources.{name}", source)
    for name, mix in config.mixes.items():
        for task_name in mix.named_tasks:
            if task_name not in config.tasks:
                yield unknown_name(f"mixes.{name}.{mix.tasks_key}", "task", task_name, config.tasks)
    if config.report.metric is not None and config.report.metric not in config.metrics:
        yield unknown_name("report.metric", "metric", config.report.metric, config.metrics)
    yield from broken_selection(config)
    yield from broken_comparisons(config)
    for name in config.report.table.metrics or ():
        if name not in config.metrics:
            yield unknown_name("report.table.metrics", "metric", name, config.metrics)
    if not config.grid and not config.external_predictions:
        yield "grid: there is nothing to do; give blocks of combinations, or external_predictions."
    for i, block in enumerate(config.grid):
        yield from broken_block(config, f"grid[{i}]", block)
    for kept, what in ((EXTERNAL, "external predictions that have no base model"), (BASELINE, "trivial baselines")):
        for name in (name for name in config.models if name.casefold() == kept):
            yield f"models.{name}: this name is kept for {what}."
    for name, external in config.external_predictions.items():
        yield from _broken_external(config, f"external_predictions.{name}", external)


def _taken_names(config: Config) -> Iterator[str]:
    """One sentence for each model with the name of another model; case aside, as they share a folder."""
    taken = {name.casefold() for name in config.models}
    for name in config.encoders:
        if name.casefold() in taken:
            yield f"encoders.{name}: a base model has this name already."
    taken |= {name.casefold() for name in config.encoders}
    for name in config.reward_models:
        if name.casefold() in taken:
            yield f"reward_models.{name}: another model has this name already."


def _kept_names(config: Config) -> Iterator[str]:
    """One sentence for each entry with a reserved name: something with this name exists without being listed."""
    listed: list[tuple[str, Iterable[str], str]] = [
        ("decodings", config.decodings, "greedy"),
        ("promptings", config.promptings, "zero_shot"),
        *((f"tasks.{name}.prompt_variants", task.prompt_variants, "default") for name, task in config.tasks.items()),
    ]
    for section, names, kept in listed:
        for name in (name for name in names if name.casefold() == kept):
            yield f"{section}.{name}: this name is kept for what is there without being listed; choose another."


def _broken_task(config: Config, where: str, task: Task) -> Iterator[str]:
    for scorer in task.scorers:
        if scorer not in config.scorers:
            yield unknown_name(f"{where}.scorers", "scorer", scorer, config.scorers)
    if task.metric is not None and task.metric not in (given := config.metrics_of_task(task)):
        yield unknown_name(f"{where}.metric", "metric of this task's scorers:", task.metric, given)
    for sample_type in task.sample_types:
        yield from _broken_data_set(config, f"{where}.sample_types.{sample_type}", task.data_set(sample_type))
    if task.rule is not None and (problem := syntax_error(task.rule)):
        yield f"{where}.rule: not a valid template: {problem}"
    if "rule" in (task.baselines or ()) and task.rule is None:
        yield f"{where}.baselines: 'rule' needs the key 'rule'."
    known_keys = {key for sample_type in task.sample_types for key in task.data_set(sample_type).metadata or ()}
    for key in task.group_by:
        if key not in known_keys:
            yield unknown_name(f"{where}.group_by", "key of the metadata", key, known_keys)
    if task.cluster_by is not None and task.cluster_by not in known_keys:
        yield unknown_name(f"{where}.cluster_by", "key of the metadata", task.cluster_by, known_keys)
    for key, variant in task.prompt_variants.items():
        if variant.instruction is not None and (problem := syntax_error(variant.instruction)):
            yield f"{where}.prompt_variants.{key}.instruction: not a valid template: {problem}"
        if variant.instruction is not None and any(task.data_set(one).messages is not None for one in task.sample_types):
            yield f"{where}.prompt_variants.{key}.instruction: conversations (`messages`) have none; change the system_prompt."
    tokenizer = task.cleaning.tokenizer
    if (measuring := config.models.get(tokenizer or "")) and measuring.source is None:
        yield f"{where}.cleaning.tokenizer: '{tokenizer}' has no source, and so no tokenizer."
    if tokenizer is not None and tokenizer not in config.models:
        yield unknown_name(f"{where}.cleaning.tokenizer", "base model", tokenizer, config.models)
    if tokenizer is None and (task.cleaning.min_tokens or task.cleaning.max_tokens):
        yield f"{where}.cleaning.tokenizer: is needed to measure min_tokens and max_tokens."


def _broken_data_set(config: Config, where: str, fields: DataSetFields) -> Iterator[str]:
    for key in ("source", *(() if fields.messages is not None else ("instruction",))):
        if getattr(fields, key) is None:
            yield f"{where}: '{key}' is given neither here nor in the task."
    if fields.messages is not None:
        for key in ("instruction", "input", "output", "outputs", "prompts"):
            if getattr(fields, key) is not None:
                yield f"{where}: 'messages' holds question and answer; leave out '{key}', here and in the task."
    elif fields.tools is not None:
        yield f"{where}: 'tools' needs 'messages', the conversation in which they are called."
    elif (fields.output is None) == (fields.outputs is None):
        yield f"{where}: exactly one of 'output' and 'outputs' must be given, here or in the task."
    templates = {key: getattr(fields, key) for key in ("instruction", "input", "output")} | (fields.metadata or {})
    for key, template in templates.items():
        if template is not None and (problem := syntax_error(template)):
            yield f"{where}.{key}: not a valid template: {problem}"
    for key in ("prompts", "outputs", "messages", "tools"):
        expression = getattr(fields, key)
        if expression is not None and (problem := expression_error(expression)):
            yield f"{where}.{key}: not a valid expression: {problem}"
    if fields.source is not None and fields.source not in config.sources:
        yield unknown_name(f"{where}.source", "data source", fields.source, config.sources)


def _broken_human_evaluation(config: Config, where: str, evaluation: HumanEvaluation) -> Iterator[str]:
    for name in evaluation.tasks:
        if name not in config.tasks:
            yield unknown_name(f"{where}.tasks", "task", name, config.tasks)
    known = {name for task in evaluation.tasks if task in config.tasks for name in config.tasks[task].sample_types}
    for name in evaluation.sample_types or ():
        if name not in known:
            yield unknown_name(f"{where}.sample_types", "sample type", name, known)
    for name in evaluation.base_models or ():
        if name not in config.models:
            yield unknown_name(f"{where}.base_models", "base model", name, config.models)


def _broken_external(config: Config, where: str, external: ExternalPredictions) -> Iterator[str]:
    if external.base_model is not None and external.base_model not in config.models:
        yield unknown_name(f"{where}.base_model", "base model", external.base_model, config.models)
    for key in ("id", "prompt", "reference", "prediction"):
        if problem := syntax_error(getattr(external, key) or ""):
            yield f"{where}.{key}: not a valid template: {problem}"
    met = set()
    for i, file in enumerate(external.files):
        of_file = f"{where}.files[{i}]"
        if file.task not in config.tasks:
            yield unknown_name(f"{of_file}.task", "task", file.task, config.tasks)
        elif file.sample_type not in (known := config.tasks[file.task].sample_types):
            yield unknown_name(f"{of_file}.sample_type", f"sample type of task '{file.task}':", file.sample_type, known)
        elif config.tasks[file.task].data_set(file.sample_type).prompts is not None:
            said = "have several prompts, for which predictions cannot be imported."
            yield f"{of_file}.task: examples of task '{file.task}' {said}"
        if (file.task, file.sample_type) in met:
            yield f"{of_file}: there is another file for task '{file.task}', sample type '{file.sample_type}' already."
        met.add((file.task, file.sample_type))


def _broken_source(where: str, source: DataSource) -> Iterator[str]:
    """One sentence for each split that a source can neither read nor cut from its rows."""
    if source.where is not None and (problem := expression_error(source.where)):
        yield f"{where}.where: not a valid expression: {problem}"
    if (given := source.given_splits()) is None:
        return
    if "all" in given and "train" in given:
        yield f"{where}.splits: 'all' and 'train' exclude each other: what is cut from 'all' leaves train."
    if not given & {"all", "train", "test"}:
        yield f"{where}.splits: 'test' is missing, or 'all' or 'train' to cut it from."
    elif "test" not in given and not source.split.test and not source.split.test_per_task:
        yield f"{where}.splits: 'test' is missing; give one, or cut it with split.test or split.test_per_task."
