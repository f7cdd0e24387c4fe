"""How much there is to compute: the tokens of every job, before it runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from loragrid.config.root import Config
from loragrid.data.mixes import Mix, share_out
from loragrid.grid.jobs.lookups import trained_run
from loragrid.grid.runs import Grid
from loragrid.layout import SCORE, Dataset, Evaluation, Run
from loragrid.planning.history import FORWARD_SHARE, LOOKED_INTO, Recorded, answer_lengths
from loragrid.planning.jobs import Job
from loragrid.planning.lengths import CHARACTERS_PER_TOKEN, Lengths, LengthsOf, mean, split_lengths
from loragrid.runtime.looking import looked_into
from loragrid.scoring.scorer import Requests
from loragrid.training.method import Training

FIRST_JUDGEMENT = 150
"""Tokens of a judge's answer: scores, with a few words about each."""


class Work(NamedTuple):
    """What a job has to do, in tokens."""

    tokens: float = 0
    """All tokens: of a training, in all epochs; of prompts and answers; or of requests to a judge and its answers."""
    new: float = 0
    """The tokens that are learnt (targets of the loss) or generated."""
    effort: float = 0
    """The tokens that decide how long a job takes: all tokens, and validated tokens at their share. 0 if time does not depend on
    tokens."""
    requests: float = 0
    """Requests to a judge."""


def workload(config: Config, jobs: Iterable[Job], history: Iterable[Recorded]) -> tuple[list[Work], dict[str, set[str]]]:
    """What each job has to do.

    Returns:
        The work, in the order of the jobs; and the basis of its tokens: the names of data sets by `Lengths.basis`.
    """
    basis: dict[str, set[str]] = {}

    @cache
    def lengths(base_model: str, task: str, sample_type: str, split: str) -> Lengths:
        of_split = split_lengths(config, base_model, task, sample_type, split)
        basis.setdefault(of_split.basis, set()).add(Dataset(task, sample_type).name)
        return of_split

    grid, recorded, usage = Grid(config), answer_lengths(history), cache(judge_usage)

    def work_of(job: Job) -> Work:
        if job.rule in ("train", "train_full"):
            return training_work(config, trained_run(grid, job.wildcards), lengths)
        if job.rule == "predict":
            asked = Evaluation.from_wildcards(job.wildcards)
            return Work() if takes_over(grid, asked) else prediction_work(config, asked, lengths, recorded)
        if job.rule == "score":
            requests = config.scorers[job.wildcards["scorer"]].requests
            if requests is not None:
                scored = Evaluation.from_wildcards(job.wildcards)
                return judge_work(config, requests, scored, lengths, usage(job.wildcards["scorer"]))
        return Work()

    return [work_of(job) for job in jobs], basis


def takes_over(grid: Grid, asked: Evaluation) -> bool:
    """Whether an evaluation takes over the answers to another sample type of its task: both ask the same questions."""
    first = grid.first_asked.get(asked._replace(sample_type=""), asked.sample_type)
    return grid.config.prompting(asked.prompting).type == "zero_shot" and first != asked.sample_type


def training_work(config: Config, run: Run, lengths: LengthsOf) -> Work:
    """Tokens of a training: mean length of the mix's examples x examples x epochs; or x `max_steps` x `batch_size`.

    Early stopping is not foreseen.
    """
    training, recipe = config.trainings[run.config], config.mixes[run.mix]
    of_task = {task: lengths(run.base_model, task, run.sample_type, "train") for task in {run.task, *recipe.named_tasks}}
    examples = recipe.sizes(run.task, run.nb_samples, {task: of.examples for task, of in of_task.items()})
    # Each prompt of an example is trained on by itself.
    prompts = {task: count * of_task[task].prompts_per_example for task, count in examples.items()}
    in_mix = sum(prompts.values())
    tokens = sum(count * of_task[task].mean(training.max_length) for task, count in prompts.items()) / max(in_mix, 1)
    learnt = sum(count * mean(of_task[task].answers) for task, count in prompts.items()) / max(in_mix, 1)
    seen = seen_examples(training, in_mix, tokens)
    held_out, validations = validation_prompts(recipe, run, examples, lengths), nb_validations(training, seen, tokens)
    return Work(
        tokens=seen * tokens,
        new=seen * (tokens if run.loss_computation == "full" else min(learnt, tokens)),
        effort=seen * tokens + FORWARD_SHARE * tokens * held_out * validations,
    )


def validation_prompts(recipe: Mix, run: Run, examples: Mapping[str, int], lengths: LengthsOf) -> float:
    """How many prompts the validation part of a run's mix holds.

    Args:
        examples: the examples of the training part, by task.
    """
    prompts = 0.0
    for task, wanted in share_out(recipe.nb_validation, examples).items():
        validation = lengths(run.base_model, task, run.sample_type, "validation")
        prompts += min(wanted, validation.examples) * validation.prompts_per_example
    return prompts


def nb_validations(training: Training, seen: float, tokens: float) -> float:
    """How often a training is validated.

    Args:
        seen: how many examples it meets.
        tokens: mean tokens of an example.
    """
    if training.validate_every:
        return math.ceil(seen / step_examples(training, tokens) / training.validate_every)
    return training.evaluations


def seen_examples(training: Training, in_mix: float, tokens: float) -> float:
    """How many examples a training meets. An example counts each time that the training meets it.

    Args:
        tokens: mean tokens of an example.
    """
    if not training.max_steps:
        return training.epochs * in_mix
    return training.max_steps * step_examples(training, tokens)


def step_examples(training: Training, tokens: float) -> float:
    """How many examples there are in a step.

    Args:
        tokens: mean tokens of an example.
    """
    return training.batch_tokens / max(tokens, 1) if training.batch_tokens else training.batch_size


def prediction_work(config: Config, asked: Evaluation, lengths: LengthsOf, recorded: Mapping[tuple[str, str], float]) -> Work:
    """Tokens of the prompts and answers.

    Answers are taken to be as long as recorded answers, else as references, but to have at most `max_new_tokens`.
    """
    test = lengths(asked.base_model, asked.task, asked.sample_type, asked.split)
    prompting, decoding = config.prompting(asked.prompting), config.decoding(asked.decoding, asked.task, asked.base_model)
    prompt = mean(test.prompts)
    if prompting.nb_shown:
        prompt += prompting.nb_shown * lengths(asked.base_model, asked.task, asked.sample_type, "train").mean()
    answer = min(recorded.get((asked.base_model, asked.task), mean(test.answers)), decoding["max_new_tokens"])
    answers = asked_examples(config, asked, test) * test.prompts_per_example * decoding["samples"]
    return Work(tokens=answers * (prompt + answer), new=answers * answer, effort=answers * (prompt + answer))


def asked_examples(config: Config, asked: Evaluation, test: Lengths) -> int:
    """Examples that are predicted.

    Args:
        test: of the split that is asked.
    """
    return min(config.subset_of(asked) or test.examples, test.examples)


def judge_work(config: Config, judge: Requests, scored: Evaluation, lengths: LengthsOf, used: tuple[float, float] | None) -> Work:
    """Upper bounds of the requests to a judge for the answers in one file, and of their tokens. It is asked nothing twice.

    Args:
        judge: what the judge is asked for an answer.
        used: mean tokens of a recorded request and of its answer.
    """
    test = lengths(scored.base_model, scored.task, scored.sample_type, scored.split)
    samples = 1
    if scored.base_model in config.models:
        samples = config.decoding(scored.decoding, scored.task, scored.base_model)["samples"]
    per_example = test.prompts_per_example if config.tasks[scored.task].answers == "each" else 1
    requests = asked_examples(config, scored, test) * per_example * samples * judge.per_answer
    of_rubric = judge.own_characters / CHARACTERS_PER_TOKEN
    prompt, new = used or (
        of_rubric + mean(test.prompts) + 2 * mean(test.answers),
        min(FIRST_JUDGEMENT, judge.max_new_tokens),
    )
    return Work(tokens=requests * (prompt + new), new=requests * new, requests=requests)


def judge_usage(scorer: str) -> tuple[float, float] | None:
    """Mean tokens of a request to a judge and of its answer, in its latest scores; None if it has not been asked yet."""
    files = sorted(SCORE.find("scores", scorer=scorer), key=lambda path: path.stat().st_mtime)
    calls = prompt = new = 0
    for file in files[-LOOKED_INTO:]:
        for usage in looked_into(file, partial(_usages, file)) or ():
            calls += usage.get("calls", 0)
            prompt += usage.get("prompt_tokens", 0)
            new += usage.get("new_tokens", 0)
    return (prompt / calls, new / calls) if calls else None


def _usages(file: Path) -> list[dict[str, int]]:
    with open(file, encoding="utf-8") as lines:
        return [json.loads(line).get("usage", {}) for line in lines]
