"""Whether what the configuration names is there: one sentence for each name that is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from loragrid.config.evaluation import Block, ExternalPredictions
from loragrid.config.root import Config
from loragrid.data.mixes import mix_tasks
from loragrid.data.prompting import Retrieved
from loragrid.data.sources import BuiltSource, FileSource, HubDataset
from loragrid.data.tasks import Task
from loragrid.errors import unknown_name
from loragrid.inference.settings import HfEngine, OpenAiEngine, VllmEngine
from loragrid.layout import BASELINE, EXTERNAL
from loragrid.runtime.templates import syntax_error
from loragrid.scoring.human_sheets import HumanEvaluation
from loragrid.training.settings import ContinuedTraining, FullTraining, LoraTraining


def broken_references(config: Config) -> Iterator[str]:
    """One sentence for each name that refers to nothing, and each combination that cannot exist."""
    for name in config.encoders.keys() & config.models.keys():
        yield f"encoders.{name}: a base model has this name already."
    for name in config.reward_models.keys() & (config.models.keys() | config.encoders.keys()):
        yield f"reward_models.{name}: another model has this name already."
    for name, scorer in config.scorers.items():
        yield from (f"scorers.{name}.{problem}" for problem in scorer.problems(config))
    for name, evaluation in config.human_evaluations.items():
        yield from _broken_human_evaluation(config, f"human_evaluations.{name}", evaluation)
    for task_name, task in config.tasks.items():
        for scorer_name in task.scorers:
            if scorer_name not in config.scorers:
                yield unknown_name(f"tasks.{task_name}.scorers", "scorer", scorer_name, config.scorers)
        for sample_type in task.sample_types:
            fields = task.fields(sample_type)
            where = f"tasks.{task_name}.sample_types.{sample_type}"
            for key in ("source", "instruction"):
                if fields[key] is None:
                    yield f"{where}: '{key}' is given neither here nor in the task."
            if (fields["output"] is None) == (fields["outputs"] is None):
                yield f"{where}: exactly one of 'output' and 'outputs' must be given, here or in the task."
            templates = {key: fields[key] for key in ("instruction", "input", "output")} | (fields["metadata"] or {})
            templates["prompts"] = None if fields["prompts"] is None else f"{{{{ {fields['prompts']} }}}}"
            templates["outputs"] = None if fields["outputs"] is None else f"{{{{ {fields['outputs']} }}}}"
            for key, template in templates.items():
                if template is not None and (problem := syntax_error(template)):
                    yield f"{where}.{key}: not a valid template: {problem}"
            if fields["source"] is not None and fields["source"] not in config.sources:
                yield unknown_name(f"{where}.source", "data source", fields["source"], config.sources)
        if task.rule is not None and (problem := syntax_error(task.rule)):
            yield f"tasks.{task_name}.rule: not a valid template: {problem}"
        if "rule" in (task.baselines or ()) and task.rule is None:
            yield f"tasks.{task_name}.baselines: 'rule' needs the key 'rule'."
        known_keys = {key for one in task.sample_types for key in task.fields(one)["metadata"] or ()}
        for key in task.group_by:
            if key not in known_keys:
                yield unknown_name(f"tasks.{task_name}.group_by", "key of the metadata", key, known_keys)
        for key, variant in task.prompt_variants.items():
            if variant.instruction is not None and (problem := syntax_error(variant.instruction)):
                yield f"tasks.{task_name}.prompt_variants.{key}.instruction: not a valid template: {problem}"
        if (measuring := config.models.get(task.cleaning.tokenizer or "")) and measuring.source is None:
            yield f"tasks.{task_name}.cleaning.tokenizer: '{task.cleaning.tokenizer}' has no source, and so no tokenizer."
        if task.cleaning.tokenizer is not None and task.cleaning.tokenizer not in config.models:
            yield unknown_name(f"tasks.{task_name}.cleaning.tokenizer", "base model", task.cleaning.tokenizer, config.models)
        if task.cleaning.tokenizer is None and (task.cleaning.min_tokens or task.cleaning.max_tokens):
            yield f"tasks.{task_name}.cleaning.tokenizer: is needed to measure min_tokens and max_tokens."
    for name, prompting in config.promptings.items():
        if isinstance(prompting, Retrieved) and prompting.encoder not in config.encoders:
            yield unknown_name(f"promptings.{name}.encoder", "encoder", prompting.encoder, config.encoders)
    listed: list[tuple[str, Iterable[str], str]] = [
        ("decodings", config.decodings, "greedy"),
        ("promptings", config.promptings, "zero_shot"),
        *((f"tasks.{name}.prompt_variants", task.prompt_variants, "default") for name, task in config.tasks.items()),
    ]
    for section, names, kept in listed:
        if kept in names:
            yield f"{section}.{kept}: this name is kept for what is there without being listed; choose another."
    for name, model in config.models.items():
        if isinstance(model.engine, VllmEngine) and model.quantization != "none":
            yield f"models.{name}.quantization: with vLLM this goes into engine.settings."
    for name, source in config.sources.items():
        yield from _broken_source(f"sources.{name}", source)
    for name, mix in config.mixes.items():
        for task_name in mix_tasks(mix):
            if task_name not in config.tasks:
                yield unknown_name(
                    f"mixes.{name}.{'tasks' if mix.recipe == 'fractional' else 'weights'}", "task", task_name, config.tasks
                )
    if config.report.metric is not None and config.report.metric not in config.metrics:
        yield unknown_name("report.metric", "metric", config.report.metric, config.metrics)
    if not config.grid and not config.external_predictions:
        yield "grid: there is nothing to do; give blocks of combinations, or external_predictions."
    for i, block in enumerate(config.grid):
        yield from _broken_block(config, f"grid[{i}]", block)
    for kept, what in ((EXTERNAL, "external predictions that have no base model"), (BASELINE, "trivial baselines")):
        if kept in config.models:
            yield f"models.{kept}: this name is kept for {what}."
    for name, external in config.external_predictions.items():
        yield from _broken_external(config, f"external_predictions.{name}", external)


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
    for key in ("id", "prompt", "prediction"):
        if problem := syntax_error(getattr(external, key)):
            yield f"{where}.{key}: not a valid template: {problem}"
    met = set()
    for i, file in enumerate(external.files):
        of_file = f"{where}.files[{i}]"
        if file.task not in config.tasks:
            yield unknown_name(f"{of_file}.task", "task", file.task, config.tasks)
        elif file.sample_type not in (known := config.tasks[file.task].sample_types):
            yield unknown_name(f"{of_file}.sample_type", f"sample type of task '{file.task}':", file.sample_type, known)
        elif config.tasks[file.task].fields(file.sample_type)["prompts"] is not None:
            yield f"{of_file}.task: examples of task '{file.task}' have several prompts, for which predictions cannot be imported."
        if (file.task, file.sample_type) in met:
            yield f"{of_file}: there is another file for task '{file.task}', sample type '{file.sample_type}' already."
        met.add((file.task, file.sample_type))


def _broken_block(config: Config, where: str, block: Block) -> Iterator[str]:
    axes: list[tuple[str, str, list[str], Iterable[str]]] = [
        ("base_models", "base model", block.base_models, config.models),
        ("tasks", "task", block.tasks, config.tasks),
        ("mixes", "mix", block.mixes, config.mixes),
        ("configs", "config", block.configs, config.configs),
        ("promptings", "prompting", block.promptings, ["zero_shot", *config.promptings]),
        ("decodings", "decoding", block.decodings, ["greedy", *config.decodings]),
    ]
    for axis, kind, names, known in axes:
        for name in names:
            if name not in known:
                yield unknown_name(f"{where}.{axis}", kind, name, known)
    for task_name in filter(config.tasks.__contains__, block.tasks):
        yield from _lacks(config.tasks[task_name], task_name, block, f"{where}.sample_types", f"{where}.prompt_variants")
    if isinstance(block.evaluate_on, list):
        for task_name in (name for name in block.evaluate_on if name not in block.tasks):
            if task_name in config.tasks:
                yield from _lacks(config.tasks[task_name], task_name, block, f"{where}.evaluate_on", f"{where}.evaluate_on")
            else:
                yield unknown_name(f"{where}.evaluate_on", "task", task_name, config.tasks)
    for task_name, base_model, name in product(
        filter(config.tasks.__contains__, block.tasks), filter(config.models.__contains__, block.base_models), block.decodings
    ):
        settings = config.decoding(name, task_name, base_model)
        if settings.get("min_new_tokens", 0) > settings["max_new_tokens"]:
            yield (
                f"{where}.decodings: with '{name}', answers of '{base_model}' in task '{task_name}' have at least "
                f"{settings['min_new_tokens']} and at most {settings['max_new_tokens']} tokens."
            )
    if block.configs:
        yield from _unasked_runs(config, where, block)
    for mix_name in filter(config.mixes.__contains__, block.mixes):
        mix = config.mixes[mix_name]
        if 0 in block.nb_samples and mix.recipe == "target_only":
            yield (
                f"{where}.nb_samples: 0 leaves nothing to train on in mix '{mix_name}'; the base model itself is always "
                "evaluated, without being listed."
            )
        for task_name, sample_type in product(filter(config.tasks.__contains__, mix_tasks(mix)), block.sample_types):
            if sample_type not in config.tasks[task_name].sample_types:
                yield f"{where}.mixes: mix '{mix_name}' needs sample type '{sample_type}' of task '{task_name}', which has none."


def _unasked_runs(config: Config, where: str, block: Block) -> Iterator[str]:
    """One sentence for each training whose result could not be made or asked."""
    for name in filter(config.models.__contains__, block.base_models):
        model = config.models[name]
        trainings = {one: config.configs[one] for one in block.configs if one in config.configs}
        if model.source is None:
            yield f"{where}.base_models: '{name}' has no source, so that it cannot be trained; leave out mixes, nb_samples and configs."
            continue
        if isinstance(model.engine, OpenAiEngine) and not model.engine.load_adapters:
            yield f"{where}.base_models: runs of '{name}' cannot be asked; its server would have to load them (models.{name}.engine.load_adapters)."
        for key, training in trainings.items():
            if isinstance(training, FullTraining) and model.quantization != "none":
                yield f"{where}.configs: '{key}' trains all weights of '{name}', which cannot be quantized for that."
            if isinstance(training, FullTraining) and isinstance(model.engine, OpenAiEngine):
                yield f"{where}.configs: '{key}' trains all weights of '{name}', whose server can load adapters only."
            plain = isinstance(training, ContinuedTraining | FullTraining) or (
                isinstance(training, LoraTraining) and not training.dora
            )
            if not plain and not isinstance(model.engine, HfEngine):
                yield f"{where}.configs: '{key}' is no plain LoRA, the only adapters that the engine of '{name}' can use."


def _lacks(task: Task, name: str, block: Block, of_sample_types: str, of_prompt_variants: str) -> Iterator[str]:
    """One sentence for each sample type and prompt variant of a block that a task does not have, with the key that is to blame."""
    for sample_type in block.sample_types:
        if sample_type not in task.sample_types:
            yield unknown_name(of_sample_types, f"sample type of task '{name}':", sample_type, task.sample_types)
    for prompt in block.prompt_variants:
        if not task.has_prompt(prompt):
            yield unknown_name(
                of_prompt_variants, f"prompt variant of task '{name}':", prompt, ["default", *task.prompt_variants]
            )


def _broken_source(where: str, source: BuiltSource | HubDataset | FileSource) -> Iterator[str]:
    """One sentence for each split that a source can neither read nor cut from its rows."""
    if source.where is not None and (problem := syntax_error(f"{{{{ {source.where} }}}}")):
        yield f"{where}.where: not a valid expression: {problem}"
    if isinstance(source, BuiltSource):
        return
    given = source.splits.model_dump(exclude_none=True).keys()
    if "all" in given and "train" in given:
        yield f"{where}.splits: 'all' and 'train' exclude each other: what is cut from 'all' leaves train."
    if not given & {"all", "train", "test"}:
        yield f"{where}.splits: 'test' is missing, or 'all' or 'train' to cut it from."
    elif "test" not in given and not source.split.test and not source.split.test_per_task:
        yield f"{where}.splits: 'test' is missing; give one, or cut it with split.test or split.test_per_task."
