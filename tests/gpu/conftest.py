"""What the tests of this folder share. They skip where there is no GPU, and run on the CPU, with stand-ins, where they are told to."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stand_ins import varlen_on_cpu

WHERE = os.environ.get("LORAGRID_TESTS_ON", "")
"""`cuda` (as `make test-gpu` says), or `cpu`: the same tests with tiny shapes and stand-ins for kernels, to try the tests themselves."""


@pytest.fixture(autouse=True)
def device() -> Iterator["torch.device"]:  # noqa: F821 - where tests skip, nothing is imported
    """The device that is tested."""
    if WHERE not in ("cuda", "cpu"):
        pytest.skip("needs a GPU: make test-gpu")
    import torch

    if WHERE == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no GPU of CUDA here")
    with varlen_on_cpu() if WHERE == "cpu" else contextlib.nullcontext():
        yield torch.device(WHERE)
    if WHERE == "cuda":
        torch.cuda.empty_cache()


@pytest.fixture
def on_gpu(device) -> bool:
    return device.type == "cuda"


@pytest.fixture
def shape(on_gpu) -> str:
    """Of the model on which numbers are compared with those that were measured."""
    return "1b" if on_gpu else "tiny"


@pytest.fixture
def small(on_gpu) -> str:
    """Of the model in trainings and generation."""
    return "small" if on_gpu else "tiny"


@pytest.fixture(scope="session")
def tokenizer():
    """One that is made here: GPUs are often without network."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    known = ByteLevelBPETokenizer()
    special = ["<unk>", "<s>", "</s>"]
    known.train_from_iterator(["answer question word x Answer."] * 4, vocab_size=300, special_tokens=special, show_progress=False)
    made = PreTrainedTokenizerFast(
        tokenizer_object=known._tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    made.chat_template = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant: {% endif %}"
    return made


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write each result at once to the file that `all.py` names: a run may be ended before its summary."""
    if "LORAGRID_TOLD" not in os.environ or not (report.failed or report.skipped or report.when == "call"):
        return
    line = {"part": "tests", "test": report.nodeid.rpartition("::")[2], "outcome": report.outcome, "s": round(report.duration, 1)}
    if report.failed:
        text = report.longreprtext.splitlines()
        line["why"] = [row[2:].strip()[:300] for row in text if row.startswith("E ")][:4] or text[-3:]
        line["at"] = [row for row in text if row.startswith(("tests/", "workflow/", "/"))][-3:]
    with Path(os.environ["LORAGRID_TOLD"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
