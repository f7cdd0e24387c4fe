"""Whether a block of the grid can be computed: one sentence for each unknown name and each impossible combination."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sized
from itertools import product

from loragrid.config.evaluation import Block
from loragrid.config.models import BaseModelEntry
from loragrid.config.root import Config
from loragrid.data.tasks import Task
from loragrid.errors import unknown_name
from loragrid.training.method import Training


def broken_block(config: Config, where: str, block: Block) -> Iterator[str]:
    """One sentence for each name in a block that refers to nothing, and each combination that cannot exist.

    Args:
        where: the block's key.
    """
    if (nb_asked := _number_asked(config, block)) > MOST:
        yield f"{where}: its axes make {nb_asked:,} predictions; expected at most {MOST:,}."
        return
    yield from _unknown_names(config, where, block)
    yield from _unknown_data(config, where, block)
    yield from _impossible_answers(config, where, block)
    if block.configs:
        yield from _impossible_runs(config, where, block)
    yield from _impossible_mixes(config, where, block)


MOST = 1_000_000
"""Combinations in a block. Snakemake itself plans some tens of thousands of jobs."""


def _number_asked(config: Config, block: Block) -> int:
    """How many predictions a block asks for: every combination of its axes, also with the base models alone."""
    asked: tuple[Sized, ...] = (
        block.base_models,
        block.tasks,
        block.sample_types,
        block.promptings,
        block.prompt_variants,
        block.decodings,
    )
    configs = config.trainings_named(block.configs)
    trained: tuple[Sized, ...] = (block.mixes, block.nb_samples, configs, block.loss_computations, block.seeds)
    return math.prod(map(len, asked)) * (1 + math.prod(map(len, trained)))


def _unknown_names(config: Config, where: str, block: Block) -> Iterator[str]:
    axes: list[tuple[str, str, list[str], Iterable[str]]] = [
        ("base_models", "base model", block.base_models, config.models),
        ("tasks", "task", block.tasks, config.tasks),
        ("mixes", "mix", block.mixes, config.mixes),
        ("configs", "config", block.configs, [*config.configs, *config.trainings]),
        ("promptings", "prompting", block.promptings, ["zero_shot", *config.promptings]),
        ("decodings", "decoding", block.decodings, ["greedy", *config.decodings]),
    ]
    for axis, what, names, known in axes:
        for name in names:
            if name not in known:
                yield unknown_name(f"{where}.{axis}", what, name, known)


def _unknown_data(config: Config, where: str, block: Block) -> Iterator[str]:
    """One sentence for each missing sample type, prompt variant and evaluated task."""
    evaluated, key = block.evaluate_on, f"{where}.evaluate_on"
    tested = [] if evaluated.sample_types == "same" else evaluated.sample_types
    for name in filter(config.tasks.__contains__, block.tasks):
        task = config.tasks[name]
        yield from _lacking_sample_types(task, name, block.sample_types, f"{where}.sample_types")
        yield from _lacking_sample_types(task, name, tested, f"{key}.sample_types")
        yield from _lacking_prompts(task, name, block, f"{where}.prompt_variants")
    for name in evaluated.tasks if isinstance(evaluated.tasks, list) else ():
        if name not in config.tasks:
            yield unknown_name(key, "task", name, config.tasks)
        elif name not in block.tasks:
            yield from _lacking_sample_types(config.tasks[name], name, tested or block.sample_types, key)
            yield from _lacking_prompts(config.tasks[name], name, block, key)


def _lacking_sample_types(task: Task, name: str, wanted: Iterable[str], key: str) -> Iterator[str]:
    """One sentence for each wanted sample type that a task lacks. It names the key to blame."""
    for sample_type in wanted:
        if sample_type not in task.sample_types:
            yield unknown_name(key, f"sample type of task '{name}':", sample_type, task.sample_types)


def _lacking_prompts(task: Task, name: str, block: Block, key: str) -> Iterator[str]:
    """One sentence for each prompt variant of a block that a task lacks. It names the key to blame."""
    for prompt in block.prompt_variants:
        if not task.has_prompt(prompt):
            known = ["default", *task.prompt_variants]
            yield unknown_name(key, f"prompt variant of task '{name}':", prompt, known)


def _impossible_answers(config: Config, where: str, block: Block) -> Iterator[str]:
    """One sentence for each combination whose shortest answer would be longer than its longest."""
    tasks = filter(config.tasks.__contains__, block.tasks)
    base_models = filter(config.models.__contains__, block.base_models)
    for task, base_model, name in product(tasks, base_models, block.decodings):
        settings = config.decoding(name, task, base_model)
        shortest, longest = settings.get("min_new_tokens", 0), settings["max_new_tokens"]
        if shortest > longest:
            answers = f"answers of '{base_model}' in task '{task}'"
            yield f"{where}.decodings: with '{name}', {answers} have at least {shortest} and at most {longest} tokens."


def _impossible_runs(config: Config, where: str, block: Block) -> Iterator[str]:
    """One sentence for each training that is impossible, or whose result no engine could ask."""
    for name in filter(config.models.__contains__, block.base_models):
        model = config.models[name]
        if model.source is None:
            said = "has no source, so that it cannot be trained; leave out mixes, nb_samples and configs."
            yield f"{where}.base_models: '{name}' {said}"
            continue
        if not model.engine.loads_adapters:
            said = f"its server would have to load them (models.{name}.engine.load_adapters)."
            yield f"{where}.base_models: runs of '{name}' cannot be asked; {said}"
        for key in dict.fromkeys(block.configs):
            trainings = [config.trainings[one] for one in config.trainings_named([key]) if one in config.trainings]
            for problem in dict.fromkeys(problem for training in trainings for problem in _mismatch(training, name, model)):
                yield f"{where}.configs: '{key}' {problem}"


def _mismatch(training: Training, name: str, model: BaseModelEntry) -> Iterator[str]:
    """Why a base model or its engine cannot do what a training needs, as the rest of a sentence."""
    if training.makes_whole_model and model.quantization != "none":
        yield f"trains all weights of '{name}', which cannot be quantized for that."
    if training.makes_whole_model and not model.engine.loads_whole_models:
        yield f"trains all weights of '{name}', whose server can load adapters only."
    if training.needs_hf and not model.engine.loads_any_adapter:
        yield f"is no plain LoRA, the only adapters that the engine of '{name}' can use."


def _impossible_mixes(config: Config, where: str, block: Block) -> Iterator[str]:
    """One sentence for each mix that would be empty, or draws from missing data."""
    for name in filter(config.mixes.__contains__, block.mixes):
        mix = config.mixes[name]
        if 0 in block.nb_samples and not mix.named_tasks:
            said = f"0 leaves nothing to train on in mix '{name}'"
            yield f"{where}.nb_samples: {said}; the base model itself is always evaluated, without being listed."
        for task, sample_type in product(filter(config.tasks.__contains__, mix.named_tasks), block.sample_types):
            if sample_type not in config.tasks[task].sample_types:
                yield f"{where}.mixes: mix '{name}' needs sample type '{sample_type}' of task '{task}', which has none."
