"""The ways to train that are compared. Each trains `model` on every example once and says how long that took.

They share the model, its fresh adapter, the token ids, which tokens are learnt, eight examples for each optimiser step, AdamW,
the learning rate and clipping of gradients; each takes the examples in its own random order.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from contest import BATCH_SIZE

LEARNING_RATE = 2e-4
MAX_GRAD_NORM = 1.0
SEED = 1
IGNORED = -100

Example = Mapping[str, Any]


class Trained(NamedTuple):
    """What one pass over the examples took."""

    seconds: list[float]
    """Of each optimiser step, from the end of the one before it."""
    loss: float
    """Mean of the training losses of the steps."""


class Clock:
    """Time that work on the device takes."""

    def __init__(self, device: torch.device, wait_every: int = 1) -> None:
        """Start later.

        Args:
            wait_every: laps between two waits for a GPU. Only the sum of so many laps is right then, and the GPU is kept waiting
                less than by the measurement of each lap.
        """
        self._device = device
        self._wait_every = wait_every
        self.laps: list[float] = []

    def start(self) -> None:
        """Start the first lap."""
        self._last = self._now()

    def lap(self) -> None:
        """End a lap, and start the next."""
        now = self._now((len(self.laps) + 1) % self._wait_every == 0)
        self.laps.append(now - self._last)
        self._last = now

    def _now(self, waits: bool = True) -> float:
        if waits and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def place(model: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and number type of the frozen weights."""
    frozen = next(p for p in model.parameters() if not p.requires_grad)
    return frozen.device, frozen.dtype


def labels_of(example: Example) -> list[int]:
    """The token ids of the completion, at their places."""
    start = example["target_start"]
    return [IGNORED] * start + example["ids"][start:]


def plain(model: torch.nn.Module, examples: Sequence[Example], tokenizer: Any, settings: Mapping[str, Any]) -> Trained:
    """The loop that most scripts have: random batches, padded to the longest, the loss by the model."""
    device, dtype = place(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0)
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(SEED)).tolist()
    losses = []
    model.train()
    clock = Clock(device)
    clock.start()
    for start in range(0, len(examples), BATCH_SIZE):
        batch = [examples[i] for i in order[start : start + BATCH_SIZE]]
        inputs = {name: values.to(device) for name, values in padded(batch, tokenizer.pad_token_id).items()}
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        clock.lap()
    return Trained(clock.laps, sum(losses) / len(losses))


def padded(batch: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """A batch, padded on the right."""

    def fill(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)

    return {
        "input_ids": fill([example["ids"] for example in batch], pad),
        "attention_mask": fill([[1] * len(example["ids"]) for example in batch], 0),
        "labels": fill([labels_of(example) for example in batch], IGNORED),
    }


def shared_arguments(model: torch.nn.Module, folder: str) -> dict[str, Any]:
    """Arguments of both `Trainer` and TRL that give the same training as the other contenders get, and no extra work."""
    device, dtype = place(model)
    return {
        "output_dir": folder,
        "num_train_epochs": 1,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": MAX_GRAD_NORM,
        "seed": SEED,
        "bf16": dtype == torch.bfloat16,
        "gradient_checkpointing": False,
        "use_cpu": device.type == "cpu",
        "dataloader_pin_memory": device.type != "cpu",
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def timed(trainer: Any, device: torch.device, passes: int | None) -> Trained:
    """Run a `Trainer`. What it does before the first batch and after the last step is not counted.

    Args:
        passes: over the examples, each of which is timed as a whole; None: each step is timed.
    """
    from transformers import TrainerCallback

    clocks: list[Clock] = []

    class Timing(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            clocks.append(Clock(device, max(1, state.max_steps // passes) if passes else 1))
            clocks[0].start()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            clocks[0].lap()

    trainer.add_callback(Timing)
    loss = trainer.train().training_loss
    return Trained(clocks[0].laps, loss)


def trainer(model: torch.nn.Module, examples: Sequence[Example], tokenizer: Any, settings: Mapping[str, Any]) -> Trained:
    """`transformers.Trainer` with the collator of its examples."""
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = [{"input_ids": e["ids"], "attention_mask": [1] * len(e["ids"]), "labels": labels_of(e)} for e in examples]
    with TemporaryDirectory() as folder:
        made = Trainer(
            model=model,
            args=TrainingArguments(**shared_arguments(model, folder) | settings),
            train_dataset=Dataset.from_list(rows),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            processing_class=tokenizer,
        )
        return timed(made, place(model)[0], None)


def trl(
    model: torch.nn.Module, examples: Sequence[Example], tokenizer: Any, settings: Mapping[str, Any], passes: int | None = None
) -> Trained:
    """`SFTTrainer` on the same token ids. Its preparation of the data, packing for instance, is not counted."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [{"input_ids": e["ids"], "labels": labels_of(e)} for e in examples]
    with TemporaryDirectory() as folder:
        made = SFTTrainer(
            model=model,
            args=SFTConfig(**shared_arguments(model, folder) | {"num_train_epochs": passes or 1} | settings),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        return timed(made, place(model)[0], passes)


def ours(
    model: torch.nn.Module,
    examples: Sequence[Example],
    tokenizer: Any,
    settings: Mapping[str, Any],
    passes: int | None = None,
    follow: Callable[[int], None] = lambda step: None,
) -> Trained:
    """This project's loop, with its default settings.

    Args:
        passes: as for `timed`.
        follow: called with the number of each step.
    """
    from accelerate import Accelerator

    from loragrid.models.device import keep_freed_memory
    from loragrid.training.batches import Encoded
    from loragrid.training.gradients import choose_layout
    from loragrid.training.loop import make_learner, train
    from loragrid.training.methods import LoraTraining
    from loragrid.training.settings import Seeds

    device, dtype = place(model)
    keep_freed_memory()
    encoded = [Encoded(example["ids"], example["target_start"]) for example in examples]
    shared = {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "max_grad_norm": MAX_GRAD_NORM}
    shared |= {"schedule": "constant", "evaluations": 0, "epochs": passes or 1}
    config = LoraTraining(**shared | settings)
    seeds = Seeds(adapter_init=SEED, data_order=SEED, mix=SEED)
    base: Any = model.get_base_model()
    attention = base.config._attn_implementation
    layout = choose_layout(model, config, device, tokenizer.pad_token_id, dtype)
    accelerator = Accelerator(cpu=device.type == "cpu")
    clock = Clock(device, -(-len(examples) // config.batch_size) if passes else 1)

    def lap(row: Any) -> None:
        if row.step:
            clock.lap()
        else:
            clock.start()
        follow(row.step)

    learner = make_learner(model, config, layout, accelerator, dtype)
    course = train(learner, encoded, [], seeds, follow=lap)
    base.set_attn_implementation(attention)
    losses = [row.train_loss for row in course if row.train_loss is not None]
    return Trained(clock.laps, sum(losses) / len(losses))


FUNCTIONS: dict[str, Callable[..., Trained]] = {
    "plain": plain,
    "trainer": trainer,
    "trl": trl,
    "ours": ours,
}
