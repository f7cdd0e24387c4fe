"""The engine `vllm`: vLLM in a process of its own, which may belong to another environment.

The process gets one JSON object per line. The first is the model: `arguments` of `vllm.LLM`, and `adapters` by name. Each
following object is an order: `questions` with `ids`, `seed` and `adapter`; `sampling`, the arguments of `SamplingParams`; and
`alone`, whether each question is answered by itself. The process writes what it computes with, then one answer per line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from loragrid.data.render import Renderer, end_tokens
from loragrid.errors import UserError
from loragrid.inference.answer_texts import cut_before, end_texts, special_marks, stopped_text, text_reader
from loragrid.inference.engine import EngineSettings, ModelToAsk
from loragrid.inference.protocol import Answer, Decoding, Engine, Question
from loragrid.runtime.gpu_leases import lease_files
from loragrid.runtime.manifests import read_json
from loragrid.sections import ONLY_SPEED
from loragrid.text.words import trim

WORKER = Path(__file__).parents[1] / "vllm_worker.py"


class VllmEngine(EngineSettings):
    """vLLM, in a process that the job starts. Adapters are LoRA requests to the same base model."""

    type: Literal["vllm"] = Field(description="Chooses this engine.")
    python: Annotated[str | None, ONLY_SPEED] = Field(
        None,
        description="Python interpreter of an environment that has vLLM, for example `.venv-vllm/bin/python`; by default the one "
        "that runs the job.",
    )
    settings: dict[str, Any] = Field(
        default={}, description="Further arguments of `vllm.LLM`, for example `gpu_memory_utilization` or `max_num_seqs`."
    )

    def files(self) -> dict[str, str]:
        return {} if self.python is None else {"python": self.python}

    def problems(self, quantization: str) -> Iterator[str]:
        if quantization != "none":
            yield "quantization: with vLLM this goes into engine.settings."
        if key := trusting(self.settings):
            yield f"engine.settings.{key}: program code that a model brings is never run here; leave it out."

    @contextmanager
    def open(self, model: ModelToAsk) -> Iterator[Engine]:
        assert model.folder is not None
        assert model.renderer is not None
        whole, adapters = model.folder, {}
        if model.trained is not None and model.trained.name == "model.safetensors":
            whole = model.trained.parent
        elif model.trained is not None:
            adapters = {"trained": model.trained.parent}
        with open_vllm(self, whole, model.dtype, adapters, model.renderer, model.context_length) as vllm:
            yield vllm_engine(vllm, "trained" if adapters else None)


def trusting(settings: Mapping[str, Any], within: str = "") -> str | None:
    """The first setting, on whatever level, that would let a model's own code run; None if there is none."""
    for key, value in settings.items():
        if key == "trust_remote_code" and value:
            return f"{within}{key}"
        if isinstance(value, Mapping) and (found := trusting(value, f"{within}{key}.")):
            return found
    return None


class Vllm(NamedTuple):
    """A running vLLM."""

    version: str
    device: str
    dtype: str
    """The number type that it computes with."""
    ask: Callable[[Sequence[tuple[Question, str | None]], Decoding], Iterator[dict[int, Answer]]]
    """Gives answers as soon as they are there. Each question comes with the name of the adapter to ask; None: the base model."""


@contextmanager
def open_vllm(
    engine: VllmEngine, folder: Path, dtype: str, adapters: Mapping[str, Path], renderer: Renderer, context_length: int
) -> Iterator[Vllm]:
    """Start vLLM with a base model, loaded once, and with adapters.

    Args:
        folder: the base model, or a model that was fine-tuned as a whole.
        dtype: the number type, as configured. For `auto`, the process picks the one that the engine `hf` would pick there: its
            environment may know a GPU that ours does not.
        adapters: folders in peft's layout, by name.

    Raises:
        UserError: if vLLM is not installed, or ends by itself.
    """
    job = _model_of(engine, folder, dtype, adapters, context_length)
    ends, python = end_tokens(renderer, folder), engine.python or sys.executable
    process = _start(python)

    def text_of(reply: Mapping[str, Any], decoding: Decoding) -> str:
        ids = reply["token_ids"]
        # vLLM leaves out special tokens, even if they mark thoughts.
        if special_marks(renderer.tokenizer, decoding.thought_marks).keys() & set(ids):
            return stopped_text(text_reader(renderer.tokenizer, set(ends), decoding.thought_marks), ids, decoding)[0]
        return trim(cut_before(reply["text"], end_texts(renderer.tokenizer, set(ends) & set(ids[-1:])))[0])

    def ask(questions: Sequence[tuple[Question, str | None]], decoding: Decoding) -> Iterator[dict[int, Answer]]:
        wanted = [{"ids": question.prompt.prompt_ids, "seed": question.seed, "adapter": name} for question, name in questions]
        order = {"questions": wanted, "sampling": sampling_parameters(decoding, ends), "alone": decoding.latency}
        reply = _ask(process, order)
        for left in reversed(range(len(questions))):
            index = reply["number"]
            yield {index: _answer(reply, len(questions[index][0].prompt.prompt_ids), text_of(reply, decoding))}
            reply = _read(process) if left else {}

    try:
        about = _ask(process, job)
        if about.get("is_missing"):
            raise UserError(
                f"engine: type: vllm needs the package vllm, which {python} does not find: {python} -m pip install vllm, or set "
                "engine.python to the Python of an environment that has it."
            )
        yield Vllm(about["version"], about["device"], about["dtype"], ask)
    except BaseException:
        process.terminate()
        raise
    finally:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def _model_of(engine: VllmEngine, folder: Path, dtype: str, adapters: Mapping[str, Path], context_length: int) -> dict[str, Any]:
    """The first object that the process gets. For the arguments, see `open_vllm`."""
    from loragrid.models.device import pick_device, pick_dtype, type_name

    own = type_name(pick_dtype(dtype, pick_device()))
    arguments: dict[str, Any] = {"model": str(folder), "dtype": own, "max_model_len": context_length}
    if adapters:
        ranks = [read_json(path / "adapter_config.json", ["r"])["r"] for path in adapters.values()]
        # With as many slots as adapters, vLLM 0.32 on a CPU answers questions to the base model with an adapter.
        arguments |= {"enable_lora": True, "max_loras": len(adapters) + 1, "max_lora_rank": lora_rank(max(ranks))}
    return {
        "arguments": arguments | engine.settings | {"trust_remote_code": False},
        "adapters": {name: str(path) for name, path in adapters.items()},
        "picks_dtype": dtype == "auto" and "dtype" not in engine.settings,
    }


def _start(python: str) -> subprocess.Popen[str]:
    """The worker's process."""
    if not os.access(python, os.X_OK):
        raise UserError(f"engine.python: '{python}' is no program.")
    return subprocess.Popen(
        # -P: the files beside the worker must not be taken for packages of its environment.
        [python, "-P", str(WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Python would hand over an open log file only as the standard stream that it replaces.
        stderr=sys.stderr.fileno(),
        encoding="utf-8",
        env=environment(),
        # The process ends by itself when nobody reads its answers any more.
        pass_fds=lease_files(),
    )


def vllm_engine(vllm: Vllm, adapter: str | None) -> Engine:
    """A running vLLM as the engine of one model."""

    def answer(questions: Sequence[Question], decoding: Decoding, answered: Collection[int]) -> Iterator[dict[int, Answer]]:
        asked = [i for i in range(len(questions)) if i not in answered]
        for new in vllm.ask([(questions[i], adapter) for i in asked], decoding):
            yield {asked[i]: given for i, given in new.items()}

    return Engine("vllm", vllm.version, answer, vllm.device, vllm.dtype)


def environment() -> dict[str, str]:
    """Environment of the process: values that suit one job on one machine, unless the user has set others."""
    usual = {"VLLM_NO_USAGE_STATS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    foreign = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE")
    return usual | {key: value for key, value in os.environ.items() if key not in foreign}


def lora_rank(rank: int) -> int:
    """The smallest `max_lora_rank` of vLLM that is enough for a rank.

    Raises:
        UserError: if none is enough.
    """
    for supported in (8, 16, 32, 64, 128, 256, 320, 512):
        if rank <= supported:
            return supported
    raise UserError(f"vLLM serves adapters up to rank 512, not {rank}.")


def _ask(process: subprocess.Popen[str], message: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
    return _read(process)


def _read(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        reply: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        # Nothing, or half a line.
        raise UserError(f"vLLM ended with exit status {process.wait()}; what it said is in the log.") from None
    return reply


def sampling_parameters(decoding: Decoding, ends: Sequence[int]) -> dict[str, Any]:
    """A decoding as arguments of vLLM's `SamplingParams`."""
    return {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": decoding.top_k,
        "repetition_penalty": decoding.repetition_penalty,
        "min_tokens": decoding.min_new_tokens,
        "max_tokens": decoding.max_new_tokens,
        "stop": list(decoding.stop),
        "stop_token_ids": list(ends),
    }


def _answer(reply: Mapping[str, Any], prompt_tokens: int, text: str) -> Answer:
    ids, running = reply["token_ids"], reply["running"]
    return Answer(
        text=text,
        token_ids=ids,
        prompt_tokens=prompt_tokens,
        new_tokens=len(ids),
        finish_reason=reply["finish_reason"],
        queue_s=round(reply["queue_s"], 6),
        compute_s=round(reply["compute_s"], 6),
        runtime_s=round(reply["compute_s"] / running, 6),
        batch_size=running,
    )
