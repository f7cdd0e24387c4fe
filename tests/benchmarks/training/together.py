"""Several small trainings on one base model: one after another, and in steps that they share.

`PYTHONPATH=workflow/scripts:tests python tests/benchmarks/training/together.py --device cuda --shapes 1b`

Models have known shapes and random weights, examples are random tokens as long as instructions are. Each way trains whole runs, from
their files to their adapters, in one process that keeps the base model: what is compared is only how steps are taken. Every result
is a line of JSON as soon as it is known; the last one of a shape holds the ratio.
"""

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from on_shapes import usual_layers

from lab import ADAPTED, Lab, lab_parser, make_examples, make_model, make_tokenizer, markdown, open_lab, shapes_of

FEWEST, MOST = 50, 500
"""Training examples of a run; those of the runs lie between, in equal ratios."""

TEMPLATE = "{{ instruction }} {{ input }}"
"""Tokens are drawn, and not made of it."""

WAYS = ("one after another", "together")


def numbers_of_examples(runs: int) -> list[int]:
    """How many training examples each run has, mixed."""
    grown = [round(FEWEST * (MOST / FEWEST) ** (i / max(1, runs - 1))) for i in range(runs)]
    return [grown[i * 7 % runs] for i in range(runs)] if runs % 7 else grown


def make_files(folder: Path, shape: str, lab: Lab, numbers: Sequence[int]) -> None:
    """The base model, and the mix of each run."""
    import pyarrow as pa

    from loragrid.data.tokens import schema, write_tokens
    from loragrid.records import Example, write_records

    make_model(shape, lab.device).to("cpu").save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    (folder / "validation.jsonl").touch()
    for run, number in enumerate(numbers):
        rows = make_examples(number, shape, seed=run)
        examples = [
            Example(id=f"{run}-{i}", task="t", sample_type="s", instruction="i", input="i", output="o") for i in range(number)
        ]
        write_records(folder / f"{run}.jsonl", examples)
        tokens = [
            (one.id, "train", row["ids"][: row["target_start"]], row["ids"][row["target_start"] :], 1)
            for one, row in zip(examples, rows, strict=True)
        ]
        names = schema().names
        write_tokens(
            folder / f"{run}.parquet", pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in tokens], schema())
        )


def jobs_of(folder: Path, way: str, numbers: Sequence[int], batch: int, epochs: float) -> list[Any]:
    """The trainings, with settings as a user has them."""
    from loragrid.training.methods import LoraTraining
    from loragrid.training.settings import TrainingJob

    run = {"base_model": "m", "task": "t", "sample_type": "s", "mix": "m", "loss_computation": "completion", "seed": 1}
    keys = {"batch_size": batch, "epochs": epochs, "target_modules": ADAPTED, "evaluations": 0}
    config = LoraTraining(together="on" if way == "together" else "off", **keys).model_dump()
    place = folder / way.replace(" ", "-")
    return [
        TrainingJob(
            settings={
                "version": 1,
                "run": run | {"nb_samples": number, "config": f"c{i}"},
                "model": {"dtype": "bfloat16", "prompt_format": "plain", "system_prompt": None, "template": TEMPLATE},
                "config": config,
                "seeds": {"adapter_init": i, "data_order": i, "mix": i},
            },
            folder=str(place / str(i)),
            state=str(place / "states"),
            model=str(folder / "model" / "model.safetensors"),
            tokenizer=str(folder / "model" / "tokenizer.json"),
            train=str(folder / f"{i}.jsonl"),
            validation=str(folder / "validation.jsonl"),
            tokens=[str(folder / f"{i}.parquet")],
            threads=torch.get_num_threads(),
            checkpoint_minutes=60,
        )
        for i, number in enumerate(numbers)
    ]


def train_one_after_another(jobs: Sequence[Any], load: Any) -> None:
    """As a process works for several jobs."""
    from loragrid.training.job import train_claimed

    for job in jobs:
        train_claimed(job, None, bool, load)


def train_in_shared_steps(jobs: Sequence[Any], load: Any) -> None:
    """As a process works for several jobs whose steps it takes together."""
    from loragrid.training.together import Claimed, train_together

    waiting, errors = [Claimed(job) for job in jobs], []
    train_together(lambda: waiting.pop(0) if waiting else None, lambda _, error: errors.append(error), load)
    if failed := [error for error in errors if error]:
        raise failed[0]


TRAIN: dict[str, Callable[[Sequence[Any], Any], None]] = dict(
    zip(WAYS, (train_one_after_another, train_in_shared_steps), strict=True)
)


@contextmanager
def known_kernel(lab: Lab) -> Iterator[None]:
    """On a CPU, something stands in for the kernel of packed rows."""
    if lab.device.type == "cuda":
        yield
        return
    from stand_ins import varlen_on_cpu

    with varlen_on_cpu():
        yield


def measured(lab: Lab, folder: Path, way: str, numbers: Sequence[int], batch: int, epochs: float) -> dict[str, Any]:
    """Train all runs in one way, twice: kernels are chosen in the first round, which has two runs only."""
    from loragrid.models.kept import kept_base

    with usual_layers(), known_kernel(lab), kept_base() as load:
        TRAIN[way](jobs_of(folder / "..", f"first {way}", numbers, batch, epochs)[:2], load)
        lab.synchronize()
        jobs = jobs_of(folder / "..", way, numbers, batch, epochs)
        started = time.perf_counter()
        TRAIN[way](jobs, load)
        lab.synchronize()
        seconds = time.perf_counter() - started
    manifests = [json.loads(Path(job.folder, "manifest.json").read_text(encoding="utf-8")) for job in jobs]
    tokens = sum(manifest["tokens"] for manifest in manifests)
    return {
        "seconds": round(seconds, 2),
        "in_steps_s": round(sum(manifest["training_s"] for manifest in manifests), 2),
        "tokens_per_s": round(tokens / seconds),
        "steps": sum(manifest["steps"] for manifest in manifests),
        "last_losses": [round(last_loss(job), 3) for job in jobs],
        "peak_gib": lab.peak_gib(),
    }


def last_loss(job: Any) -> float:
    return float(Path(job.folder, "loss.csv").read_text(encoding="utf-8").splitlines()[-1].split(",")[2])


def hold(options: Namespace) -> str:
    """Measure, and give the table."""
    lab, rows = open_lab("together", options), []
    numbers = numbers_of_examples(options.runs)
    if options.most:
        numbers = [min(number, options.most) for number in numbers]
    for shape in shapes_of(options):
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            make_files(folder, shape, lab, numbers)
            (folder / "results").mkdir()
            found = {
                way: lab.attempt(
                    lambda way=way, folder=folder: measured(lab, folder / "results", way, numbers, options.batch, options.epochs),
                    shape=shape,
                    way=way,
                    runs=len(numbers),
                    examples=sum(numbers),
                )
                for way in WAYS
            }
        one, both = (found[way] for way in WAYS)
        if one and both:
            lab.write(shape=shape, times_as_fast=round(one["seconds"] / both["seconds"], 2))
        for way, line in found.items():
            if line:
                times = f"{one['seconds'] / line['seconds']:.2f}" if one else ""
                cells = [f"{line['seconds']:.1f}", f"{line['in_steps_s']:.1f}", f"{line['tokens_per_s']:,}", times]
                rows.append([f"{shape}: {way}", *cells])
    headings = [f"{options.runs} runs, {sum(numbers)} examples", "seconds", "of them in steps", "tokens/s", "times as fast"]
    return markdown(headings, rows)


def main() -> None:
    """Run the comparison."""
    parser = lab_parser("together", (__doc__ or "").partition("\n")[0], "1b")
    parser.add_argument("--runs", type=int, default=16, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="examples a step (default: %(default)s)")
    parser.add_argument("--epochs", type=float, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--most", type=int, default=0, metavar="N", help="no run has more examples")
    print(hold(parser.parse_args()), flush=True)


if __name__ == "__main__":
    main()
