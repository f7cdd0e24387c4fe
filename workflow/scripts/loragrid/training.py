"""Training of one adapter: an explicit loop, so that every token, seed and normalisation can be read off it."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from tqdm import tqdm

from loragrid.config import Seeds, TrainingConfig
from loragrid.errors import UserError
from loragrid.job import log
from loragrid.render import Renderer, render, zero_shot

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from loragrid.records import Example
    from loragrid.tokens import Tokenised

IGNORED = -100


class Encoded(NamedTuple):
    """An example as token ids. The tokens from `target_start` on are learnt."""

    ids: list[int]
    target_start: int

    @property
    def nb_targets(self) -> int:
        return len(self.ids) - self.target_start


class Progress(NamedTuple):
    """One row of `loss.csv`."""

    step: int
    epoch: float
    train_loss: float | None
    validation_loss: float | None
    learning_rate: float
    tokens: int
    seconds: float


def encode(
    renderer: Renderer,
    examples: Sequence[Example],
    tokenised: Mapping[str, Sequence[Tokenised]],
    loss_computation: str,
    max_length: int,
) -> tuple[list[Encoded], list[str], list[str]]:
    """Make training examples; the first reference is the answer to learn.

    Args:
        tokenised: token ids of each prompt, by the example's id. What is too long is rendered anew, with its input cut. An
            example without any (its answers have one reference together) is dropped.

    Returns:
        The encoded examples, the ids of those whose input was cut, and the ids of those dropped because they do not fit.
    """
    encoded, truncated, dropped = [], [], []
    for example in examples:
        if not (of_example := tokenised.get(example.id)):
            dropped.append(example.id)
            continue
        for part, (prompt_ids, answer_ids) in zip(example.parts, of_example, strict=True):
            if len(prompt_ids) + len(answer_ids) > max_length:
                rendered = render(renderer, zero_shot(part), part.references[0], max_length)
                if rendered is None:
                    dropped.append(example.id)
                    continue
                truncated.append(example.id)
                prompt_ids, answer_ids = rendered.prompt_ids, rendered.answer_ids
            # Nothing comes before the first token, so it cannot be a target.
            target_start = len(prompt_ids) if loss_computation == "completion" else 1
            encoded.append(Encoded([*prompt_ids, *answer_ids], target_start))
    return encoded, truncated, dropped


def micro_batches(examples: Sequence[Encoded], max_tokens: int) -> Iterator[list[Encoded]]:
    """Split one step's examples into batches of similar length, each of at most `max_tokens` tokens with padding.

    An example longer than that is a batch of its own.
    """
    batch: list[Encoded] = []
    for example in sorted(examples, key=lambda e: len(e.ids)):
        if batch and (len(batch) + 1) * len(example.ids) > max_tokens:
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch


def collate(batch: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """Pad on the left, by length.

    Answers then end in the last column, so that a model need only compute logits for the last columns.

    Returns:
        `input_ids`, `attention_mask` and `position_ids` of shape (batch, longest), and `labels` of shape
        (batch, most targets), `IGNORED` where there is no target.
    """
    length = max(len(example.ids) for example in batch)
    targets = max(example.nb_targets for example in batch)
    input_ids = torch.full((len(batch), length), pad)
    attention_mask = torch.zeros((len(batch), length), dtype=torch.long)
    labels = torch.full((len(batch), targets), IGNORED)
    for row, example in enumerate(batch):
        ids = torch.tensor(example.ids)
        input_ids[row, length - len(ids) :] = ids
        attention_mask[row, length - len(ids) :] = 1
        if example.nb_targets:
            labels[row, targets - example.nb_targets :] = ids[example.target_start :]
    position_ids = (attention_mask.cumsum(1) - 1).clamp(min=0)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "position_ids": position_ids, "labels": labels}


def summed_loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy summed over the targets of a collated batch, in float32; logits are computed only where needed."""
    labels = batch["labels"]
    nb_targets = labels.shape[1]
    inputs = {name: values for name, values in batch.items() if name != "labels"}
    # The logits at one position predict the next token, hence one column more, and the last one unused.
    logits = model(**inputs, logits_to_keep=nb_targets + 1, use_cache=False).logits[:, :-1]
    chosen = labels != IGNORED
    return torch.nn.functional.cross_entropy(logits[chosen].float(), labels[chosen], reduction="sum")


def mean_loss(model: torch.nn.Module, examples: Sequence[Encoded], max_tokens: int, pad: int, device: torch.device) -> float:
    """Mean cross-entropy per target token, without gradients."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        total = sum(summed_loss(model, to_device(collate(b, pad), device)).item() for b in micro_batches(examples, max_tokens))
    model.train(training)
    return total / sum(example.nb_targets for example in examples)


def accumulate_gradients(
    model: torch.nn.Module, examples: Sequence[Encoded], max_tokens: int, pad: int, device: torch.device
) -> float:
    """Add the gradients of the mean loss over all target tokens of one optimiser step.

    However the step is cut into micro-batches, each target token has the same weight.

    Returns:
        The mean loss per target token.
    """
    nb_targets = sum(example.nb_targets for example in examples)
    total = 0.0
    for batch in micro_batches(examples, max_tokens):
        loss = summed_loss(model, to_device(collate(batch, pad), device)) / nb_targets
        torch.autograd.backward(loss)
        total += loss.item()
    return total


def to_device(batch: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Move a collated batch."""
    return {name: values.to(device) for name, values in batch.items()}


def data_order(nb_examples: int, batch_size: int, epochs: float, seed: int) -> list[list[int]]:
    """Indices of the examples of each optimiser step: a new random permutation in each epoch.

    The last step of an epoch may be smaller. A fraction of an epoch is rounded up to whole steps.
    """
    generator = torch.Generator().manual_seed(seed)
    steps_per_epoch = math.ceil(nb_examples / batch_size)
    steps: list[list[int]] = []
    for _ in range(math.ceil(epochs)):
        order = torch.randperm(nb_examples, generator=generator).tolist()
        steps += [order[i : i + batch_size] for i in range(0, nb_examples, batch_size)]
    return steps[: math.ceil(epochs * steps_per_epoch)]


def learning_rate_factor(schedule: str, warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """Factor on the highest learning rate as a function of the step, counted from 0."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return {"constant": 1.0, "linear": 1 - progress, "cosine": 0.5 * (1 + math.cos(math.pi * progress))}[schedule]

    return factor


def add_adapter(model: PreTrainedModel, config: TrainingConfig, seed: int) -> PeftModel:
    """Wrap `model` with a freshly initialised adapter.

    Raises:
        UserError: naming the modules that the model does not have.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    torch.manual_seed(seed)
    settings = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.target_modules,
    )
    try:
        wrapped = get_peft_model(model, settings)
    except ValueError as error:
        raise UserError(f"target_modules: {error}") from None
    assert isinstance(wrapped, PeftModel)
    return wrapped


def train(
    model: torch.nn.Module,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    config: TrainingConfig,
    seeds: Seeds,
    pad: int,
    device: torch.device,
) -> list[Progress]:
    """Train the parameters of `model` that require gradients, in place.

    Returns:
        The course of the loss, a row per step, before a row 0 with the validation loss before training.

    Raises:
        UserError: where there is nothing to learn from, or the loss or a parameter is no longer finite.
    """
    if not any(example.nb_targets > 0 for example in train_set):
        raise UserError("there is no target token to train on: the mix is empty or none of its examples fits in max_length.")
    parameters = [p for p in model.parameters() if p.requires_grad]
    steps = data_order(len(train_set), config.batch_size, config.epochs, seeds.data_order)
    steps_per_epoch = math.ceil(len(train_set) / config.batch_size)
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    warmup_steps = round(config.warmup_ratio * len(steps))
    factor = learning_rate_factor(config.schedule, warmup_steps, len(steps))
    evaluate_at = (
        {round(len(steps) * (i + 1) / config.evaluations) for i in range(config.evaluations)} if validation_set else set()
    )
    torch.manual_seed(seeds.data_order)

    def validate() -> float:
        return mean_loss(model, validation_set, config.micro_batch_tokens, pad, device)

    started = time.perf_counter()
    tokens = 0
    course = [Progress(0, 0.0, None, validate() if evaluate_at else None, 0.0, 0, 0.0)]
    model.train()
    for step, indices in enumerate(tqdm(steps, desc="training", unit="step", mininterval=5), start=1):
        examples = [train_set[i] for i in indices]
        learning_rate = config.learning_rate * factor(step - 1)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        loss = accumulate_gradients(model, examples, config.micro_batch_tokens, pad, device)
        if not math.isfinite(loss):
            raise UserError(f"the training loss is {loss} at step {step}: try a lower learning_rate, or dtype float32.")
        if config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        tokens += sum(len(example.ids) for example in examples)
        seconds = round(time.perf_counter() - started, 3)
        validation_loss = validate() if step in evaluate_at else None
        course.append(Progress(step, round(step / steps_per_epoch, 4), loss, validation_loss, learning_rate, tokens, seconds))
        if validation_loss is not None:
            log.info("step %d of %d: training loss %.4f, validation loss %.4f", step, len(steps), loss, validation_loss)
    if not all(torch.isfinite(p).all() for p in parameters):
        raise UserError("the trained parameters are not finite: try a lower learning_rate, or dtype float32.")
    return course


def write_course(path: str | Path, course: Sequence[Progress]) -> None:
    """Write `loss.csv`."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Progress._fields)
        writer.writerows(course)
