"""How much there is to compute: the tokens of every job, before it runs."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.config.models import BaseModelEntry
from loragrid.config.root import Config
from loragrid.data.mixes import share_out
from loragrid.data.sources import DataFile, FileSource
from loragrid.grid.runs import expand_evaluations, expand_grid
from loragrid.layout import Evaluation, Run, parse_variant
from loragrid.models.sources import PathSource
from loragrid.planning.history import FORWARD_SHARE, LOOKED_INTO, Recorded, answer_lengths
from loragrid.scoring.scorer import Requests
from loragrid.training.methods import Training

CHARACTERS_PER_TOKEN = 4
"""Of English text, about."""


LOOKED_AT = 1000
"""Examples of a split that are measured where only their texts are there."""


FIRST_PROMPT = 200
"""Tokens of a prompt of which nothing is known."""


FIRST_ANSWER = 40
"""Tokens of an answer of which nothing is known."""


FIRST_ROWS = 100
"""Examples of a split of which nothing is known."""


FIRST_JUDGEMENT = 150
"""Tokens of a judge's answer: scores with a few words on each."""


FIRST_PARAMETERS = 1e9
"""Parameters of a model of which nothing is known."""


class Job(NamedTuple):
    """One job of the grid."""

    rule: str
    wildcards: Mapping[str, str]
    to_do: bool


class Work(NamedTuple):
    """What a job has to do, in tokens."""

    tokens: float = 0
    """All tokens: trained on in all epochs; of prompts and answers; of requests to a judge and what it says."""
    new: float = 0
    """Those of them that are learnt (targets of the loss) or generated."""
    effort: float = 0
    """What decides how long it takes: all tokens, and those that are validated at their share. 0 where time does not go by tokens."""
    requests: float = 0
    """Requests to a judge."""


class Lengths(NamedTuple):
    """Tokens of the examples of a split."""

    prompts: list[int]
    answers: list[int]
    """Of the prompts in the same order."""
    examples: int
    """There may be more prompts than examples, and fewer that are measured."""
    prompts_per_example: float
    basis: str
    """`tokens`: counted; `characters`: a fourth of the characters; `guess`."""

    def mean(self, longest: float = math.inf) -> float:
        """Mean tokens of prompt and answer together, cut at the longest."""
        return _mean(min(p + a, longest) for p, a in zip(self.prompts, self.answers, strict=True))


LengthsOf = Callable[[str, str, str, str], Lengths]
"""Of base model, task, sample type and split."""


def workload(
    config: Config, jobs: Iterable[Job], history: Iterable[Recorded], results: Path
) -> tuple[list[Work], dict[str, set[str]]]:
    """What each job has to do.

    Returns:
        The work, in the order of the jobs; and what its tokens were counted from: the data sets, as `task/sample_type`, by `Lengths.basis`.
    """
    basis: dict[str, set[str]] = {}

    @cache
    def lengths(base_model: str, task: str, sample_type: str, split: str) -> Lengths:
        found = split_lengths(config, base_model, task, sample_type, split, results)
        basis.setdefault(found.basis, set()).add(f"{task}/{sample_type}")
        return found

    runs = {(run.base_model, run.name): run for run in expand_grid(config)}
    # The first sample type of a task is answered; others take over what they have in common with it.
    first = {one._replace(sample_type=""): one.sample_type for one in reversed(expand_evaluations(config))}
    answers = answer_lengths(history)
    usage = cache(lambda scorer: judge_usage(results, scorer))

    def of(job: Job) -> Work:
        match job.rule:
            case "train" | "train_full":
                return training_work(config, runs[job.wildcards["base_model"], job.wildcards["run"]], lengths)
            case "predict":
                asked = asked_by(job.wildcards)
                one_first = first.get(asked._replace(sample_type=""))
                if config.prompting(asked.prompting).type == "zero_shot" and one_first not in (None, asked.sample_type):
                    return Work()
                return prediction_work(config, asked, lengths, answers)
            case "score":
                requests = config.scorers[job.wildcards["scorer"]].requests
                if requests is not None:
                    return judge_work(config, requests, asked_by(job.wildcards), lengths, usage(job.wildcards["scorer"]))
        return Work()

    return [of(job) for job in jobs], basis


def asked_by(wildcards: Mapping[str, str]) -> Evaluation:
    """How the wildcards of a prediction say that a model is asked."""
    of_data = (wildcards["base_model"], wildcards["task"], wildcards["sample_type"])
    return Evaluation(*of_data, *parse_variant(wildcards["run"] + wildcards.get("variant", "")))


def training_work(config: Config, run: Run, lengths: LengthsOf) -> Work:
    """Tokens of a training: mean length of the mix's examples x examples x epochs; or x `max_steps` x `batch_size`. Early stopping is not foreseen."""
    training, recipe = config.configs[run.config], config.mixes[run.mix]
    of_task = cache(lambda task: lengths(run.base_model, task, run.sample_type, "train"))
    available = {task: of_task(task).examples for task in {run.task, *recipe.named_tasks}}
    in_recipe = recipe.sizes(run.task, run.nb_samples, available)
    # Each prompt of an example is trained on by itself.
    sizes = {task: size * of_task(task).prompts_per_example for task, size in in_recipe.items()}
    in_mix = sum(sizes.values())
    longest = training.max_length
    mean = sum(size * of_task(task).mean(longest) for task, size in sizes.items()) / max(in_mix, 1)
    seen = seen_examples(training, in_mix, mean)
    learnt = sum(size * _mean(of_task(task).answers) for task, size in sizes.items()) / max(in_mix, 1)
    held_out = 0.0
    for task, size in share_out(recipe.nb_validation, in_recipe).items():
        validation = lengths(run.base_model, task, run.sample_type, "validation")
        held_out += min(size, validation.examples) * validation.prompts_per_example
    validations = training.evaluations
    if training.validate_every:
        validations = math.ceil(seen / step_examples(training, mean) / training.validate_every)
    return Work(
        tokens=seen * mean,
        new=seen * (mean if run.loss_computation == "full" else min(learnt, mean)),
        effort=seen * mean + FORWARD_SHARE * mean * held_out * validations,
    )


def seen_examples(training: Training, in_mix: float, mean: float) -> float:
    """How many examples a training meets, each as often as it does.

    Args:
        mean: tokens of an example.
    """
    if not training.max_steps:
        return training.epochs * in_mix
    return training.max_steps * step_examples(training, mean)


def step_examples(training: Training, mean: float) -> float:
    """How many examples there are in a step.

    Args:
        mean: tokens of an example.
    """
    return training.batch_tokens / max(mean, 1) if training.batch_tokens else training.batch_size


def prediction_work(config: Config, asked: Evaluation, lengths: LengthsOf, recorded: Mapping[tuple[str, str], float]) -> Work:
    """Tokens of the prompts and of the answers, which are as long as recorded ones, else as references, at most `max_new_tokens`."""
    test = lengths(asked.base_model, asked.task, asked.sample_type, "test")
    prompting, decoding = config.prompting(asked.prompting), config.decoding(asked.decoding, asked.task, asked.base_model)
    prompt = _mean(test.prompts)
    if prompting.nb_shown:
        prompt += prompting.nb_shown * lengths(asked.base_model, asked.task, asked.sample_type, "train").mean()
    answer = min(recorded.get((asked.base_model, asked.task), _mean(test.answers)), decoding["max_new_tokens"])
    answers = asked_examples(config, asked.task, test) * test.prompts_per_example * decoding["samples"]
    return Work(tokens=answers * (prompt + answer), new=answers * answer, effort=answers * (prompt + answer))


def asked_examples(config: Config, task: str, test: Lengths) -> int:
    """Test examples that are predicted."""
    return min(config.tasks[task].subset or test.examples, test.examples)


def judge_work(config: Config, judge: Requests, scored: Evaluation, lengths: LengthsOf, used: tuple[float, float] | None) -> Work:
    """Requests to a judge for the answers in one file, and their tokens, at most: it is asked nothing twice.

    Args:
        judge: what is asked of it for an answer.
        used: mean tokens of a recorded request and of its answer.
    """
    test = lengths(scored.base_model, scored.task, scored.sample_type, "test")
    samples = 1
    if scored.base_model in config.models:
        samples = config.decoding(scored.decoding, scored.task, scored.base_model)["samples"]
    per_example = test.prompts_per_example if config.tasks[scored.task].answers == "each" else 1
    requests = asked_examples(config, scored.task, test) * per_example * samples * judge.per_answer
    own = judge.own_characters / CHARACTERS_PER_TOKEN
    prompt, new = used or (
        own + _mean(test.prompts) + 2 * _mean(test.answers),
        min(FIRST_JUDGEMENT, judge.max_new_tokens),
    )
    return Work(tokens=requests * (prompt + new), new=requests * new, requests=requests)


def judge_usage(results: Path, scorer: str) -> tuple[float, float] | None:
    """Mean tokens of a request to a judge and of its answer, in its latest scores; None where it has been asked nothing."""
    files = sorted((results / "scores").glob(f"*/*/*/*/{scorer}.jsonl"), key=lambda path: path.stat().st_mtime)
    calls = prompt = new = 0
    for file in files[-LOOKED_INTO:]:
        with open(file, encoding="utf-8") as lines:
            for usage in (json.loads(line).get("usage", {}) for line in lines):
                calls, prompt, new = (
                    count + usage.get(key, 0) for count, key in ((calls, "calls"), (prompt, "prompt_tokens"), (new, "new_tokens"))
                )
    return (prompt / calls, new / calls) if calls else None


def split_lengths(config: Config, base_model: str, task: str, sample_type: str, split: str, results: Path) -> Lengths:
    """Tokens of the examples of a split: counted where it is tokenised, else from its texts, else guessed."""
    limit = config.tasks[task].max_new_tokens
    tokens = results / f"tokens/{base_model}/{task}/{sample_type}.parquet"
    examples = results / f"datasets/{task}/{sample_type}/{split}.jsonl"
    if tokens.exists():
        return _counted(tokens, split)
    if examples.exists():
        return _from_texts(examples)
    rows = _stated_rows(config, task, sample_type, split)
    if rows is None:
        rows = (split == "test" and config.tasks[task].subset) or FIRST_ROWS
    return Lengths([FIRST_PROMPT], [min(FIRST_ANSWER, limit)], rows, 1, "guess")


def _counted(path: Path, split: str) -> Lengths:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["id", "prompt_ids", "answer_ids"], filters=[("split", "==", split)])
    prompts, answers = (pc.list_value_length(table[name]).to_pylist() for name in ("prompt_ids", "answer_ids"))
    examples = len(pc.unique(table["id"]))
    return Lengths(prompts, answers, examples, len(prompts) / max(examples, 1), "tokens")


def _from_texts(path: Path) -> Lengths:
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, LOOKED_AT)]
        examples = len(rows) + sum(1 for _ in lines)
    prompts, answers = [], []
    for row in rows:
        references = [row["output"]] if isinstance(row["output"], str) else row["output"]
        parts = row.get("prompts") or [row["input"]]
        for i, part in enumerate(parts):
            prompts.append(math.ceil((len(row["instruction"]) + len(part)) / CHARACTERS_PER_TOKEN))
            reference = references[min(i, len(references) - 1)] if references else ""
            answers.append(math.ceil(len(reference) / CHARACTERS_PER_TOKEN))
    return Lengths(prompts, answers, examples, len(prompts) / max(len(rows), 1), "characters")


def _stated_rows(config: Config, task: str, sample_type: str, split: str) -> int | None:
    """Rows of a split as far as the configuration or a file on this machine says; None where it is not known."""
    source = config.source_of(task, sample_type)
    file: DataFile | None = getattr(source.splits, split) if isinstance(source, FileSource) else None
    if not isinstance(source, FileSource) or file is None:
        return None
    if file.rows is None and source.package is None and file.path.endswith(".jsonl"):
        with open(file.path, "rb") as lines:
            return sum(1 for line in lines if line.strip())
    return file.rows


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values) if values else 0.0


# How large a model is


def parameters_of(name: str, model: BaseModelEntry, results: Path) -> tuple[float, str]:
    """Parameters of a model and what they are known from: its weights, its name, or a guess."""
    folders = [results / "models" / name]
    if isinstance(model.source, PathSource):
        folders.append(Path(model.source.path))
    for folder in folders:
        if files := sorted(folder.glob("*.safetensors")) if folder.is_dir() else []:
            return float(sum(map(stored_parameters, files))), "weights"
    source: dict[str, Any] = model.source.model_dump() if model.source else {}
    for text in (name, *(str(source[key]) for key in ("hub", "path", "package") if source.get(key))):
        if (found := parameters_in_name(text)) is not None:
            return found, "name"
    return FIRST_PARAMETERS, "guess"


def stored_parameters(file: Path) -> int:
    """Numbers in a safetensors file, by its header: eight bytes of its length, then JSON with the shape of each tensor."""
    with open(file, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return sum(math.prod(tensor["shape"]) for key, tensor in header.items() if key != "__metadata__")


def parameters_in_name(name: str) -> float | None:
    """Parameters that a model's name states, as in `SmolLM2-135M` or `Llama-3.1-8B`; None where it states none."""
    sizes = re.findall(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([MB])(?![A-Za-z0-9])", name.upper().replace("_", "-"))
    return float(sizes[-1][0]) * {"M": 1e6, "B": 1e9}[sizes[-1][1]] if sizes else None
