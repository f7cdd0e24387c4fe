"""The engine `vllm`: vLLM in a process of its own, which may belong to another environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from loragrid.data.render import Renderer, end_tokens
from loragrid.errors import UserError
from loragrid.inference.answer_texts import cut_before, end_texts, special_marks, stopped_text, text_reader
from loragrid.inference.engine import EngineSettings, ModelToAsk, Together
from loragrid.inference.protocol import Answer, Decoding, Engine, GivenText, Question
from loragrid.inference.vllm_process import Start, Worker, answer_to, next_answer, started
from loragrid.runtime.manifests import read_json
from loragrid.sections import ONLY_SPEED
from loragrid.text.words import trim

if TYPE_CHECKING:
    from loragrid.inference.kept_engines import KeptEngines

TOGETHER = 8
"""So many adapters are loaded at the same time, at most. Each takes memory of the device, as much as the largest rank needs."""


MEASURING = {"temperature": 0.0, "max_tokens": 1, "prompt_logprobs": 1}
"""Arguments of vLLM's `SamplingParams` with which it tells how likely each token of a prompt is. It cannot generate nothing."""


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

    @property
    def tells_likelihoods(self) -> bool:
        return True

    def files(self) -> dict[str, str]:
        return {} if self.python is None else {"python": self.python}

    def problems(self, quantization: str) -> Iterator[str]:
        if quantization != "none":
            yield "quantization: with vLLM this goes into engine.settings."
        if key := trusting(self.settings):
            yield f"engine.settings.{key}: program code that a model brings is never run here; leave it out."

    def open(self, model: ModelToAsk) -> AbstractContextManager[Engine]:
        return self._opened(model, started)

    def open_kept(self, model: ModelToAsk, kept: KeptEngines) -> AbstractContextManager[Engine]:
        return self._opened(model, partial(_kept_worker, kept))

    def gains_together(self) -> bool:
        return True

    @contextmanager
    def open_together(self, models: Sequence[ModelToAsk], kept: KeptEngines) -> Iterator[Together]:
        adapters = {str(i): model.trained.parent for i, model in enumerate(models) if model.trained and not model.is_whole}
        first = models[0]
        assert first.folder is not None
        assert first.renderer is not None
        start = start_of(self, first.folder, first.dtype, adapters, first.context_length)
        with _kept_worker(kept, start) as worker:
            vllm = running_vllm(worker, first.folder, first.renderer, adapters)
            named = [str(i) if str(i) in adapters else None for i in range(len(models))]
            whole = "it was fine-tuned as a whole"
            engines = [whole if model.is_whole else vllm_engine(vllm, name) for model, name in zip(models, named, strict=True)]
            yield Together(engines, lambda asked, decoding, answered: _ask_left(vllm, named, asked, decoding, answered))

    @contextmanager
    def _opened(self, model: ModelToAsk, open_worker: OpenWorker) -> Iterator[Engine]:
        assert model.folder is not None
        assert model.renderer is not None
        folder, adapters = model.folder, {}
        if model.trained is not None and model.is_whole:
            folder = model.trained.parent
        elif model.trained is not None:
            adapters = {"trained": model.trained.parent}
        with open_worker(start_of(self, folder, model.dtype, adapters, model.context_length)) as worker:
            yield vllm_engine(running_vllm(worker, folder, model.renderer, adapters), "trained" if adapters else None)


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
    measure: Callable[[Sequence[GivenText], str | None], Iterator[dict[int, list[float]]]]
    """Tells how likely texts are, as soon as it is known, given the name of the adapter to ask."""


OpenWorker = Callable[[Start], "AbstractContextManager[Worker]"]
"""Gives a process with vLLM: a new one, or one that is kept."""


def _kept_worker(kept: KeptEngines, start: Start) -> AbstractContextManager[Worker]:
    """A process that stays open for the jobs that come, if it can serve them. Until it has an adapter, it has no room for any."""
    with_room = start._replace(slots=max(start.slots, TOGETHER + 1)) if start.slots else start
    return kept.keep(lambda worker: worker.process.poll() is None and worker.start.serves(start), partial(started, with_room))


def start_of(engine: VllmEngine, folder: Path, dtype: str, adapters: Mapping[str, Path], context_length: int) -> Start:
    """How vLLM is started with a base model and with room for adapters.

    Args:
        folder: the base model, or a model that was fine-tuned as a whole.
        dtype: the number type, as configured. For `auto`, the process picks the one that the engine `hf` would pick there: its
            environment may know a GPU that ours does not.
        adapters: folders in peft's layout, by name.
    """
    from loragrid.models.device import pick_device, pick_dtype, type_name

    own = type_name(pick_dtype(dtype, pick_device()))
    arguments = {"model": str(folder), "dtype": own, "max_model_len": context_length}
    ranks = [read_json(path / "adapter_config.json", ["r"])["r"] for path in adapters.values()]
    return Start(
        python=engine.python or sys.executable,
        arguments=arguments | engine.settings | {"trust_remote_code": False},
        picks_dtype=dtype == "auto" and "dtype" not in engine.settings,
        slots=min(len(adapters), TOGETHER) + 1 if adapters else 0,
        rank=lora_rank(max(ranks)) if adapters else 0,
    )


@contextmanager
def open_vllm(
    engine: VllmEngine, folder: Path, dtype: str, adapters: Mapping[str, Path], renderer: Renderer, context_length: int
) -> Iterator[Vllm]:
    """Start vLLM with a base model, loaded once, and with adapters. For the arguments, see `start_of`.

    Raises:
        UserError: if vLLM is not installed, or ends by itself.
    """
    with started(start_of(engine, folder, dtype, adapters, context_length)) as worker:
        yield running_vllm(worker, folder, renderer, adapters)


def running_vllm(worker: Worker, folder: Path, renderer: Renderer, adapters: Mapping[str, Path]) -> Vllm:
    """A process with vLLM, ready to be asked.

    Args:
        folder: of the model that it has loaded.
        adapters: folders in peft's layout, by name.
    """
    ends, number = end_tokens(renderer, folder), next(worker.numbers)
    slots = worker.start.arguments.get("max_loras", worker.start.slots)
    groups = in_groups(list(adapters), max(1, slots - 1))

    def text_of(reply: Mapping[str, Any], decoding: Decoding) -> str:
        ids = reply["token_ids"]
        # vLLM leaves out special tokens, even if they mark thoughts.
        if special_marks(renderer.tokenizer, decoding.thought_marks).keys() & set(ids):
            return stopped_text(text_reader(renderer.tokenizer, set(ends), decoding.thought_marks), ids, decoding)[0]
        return trim(cut_before(reply["text"], end_texts(renderer.tokenizer, set(ends) & set(ids[-1:])))[0])

    def ask(questions: Sequence[tuple[Question, str | None]], decoding: Decoding) -> Iterator[dict[int, Answer]]:
        # Questions to the base model go with the first adapters.
        for names in groups:
            indices = [i for i, (_, name) in enumerate(questions) if name in names or (name is None and names is groups[0])]
            wanted = [
                {"ids": question.prompt.prompt_ids, "seed": question.seed, "adapter": name and f"{number}-{name}"}
                for question, name in map(questions.__getitem__, indices)
            ]
            order = {"questions": wanted, "sampling": sampling_parameters(decoding, ends), "alone": decoding.latency}
            order["adapters"] = {f"{number}-{name}": str(adapters[name]) for name in names}
            reply = answer_to(worker.process, order) if indices else {}
            for left in reversed(range(len(indices))):
                index = indices[reply["number"]]
                yield {index: _answer(reply, len(questions[index][0].prompt.prompt_ids), text_of(reply, decoding))}
                reply = next_answer(worker.process) if left else {}

    def measure(texts: Sequence[GivenText], name: str | None) -> Iterator[dict[int, list[float]]]:
        adapter = name and f"{number}-{name}"
        wanted = [{"ids": [*text.prompt.prompt_ids, *text.token_ids], "seed": 0, "adapter": adapter} for text in texts]
        order = {"questions": wanted, "sampling": MEASURING, "alone": False}
        order["adapters"] = {adapter: str(adapters[name])} if adapter and name else {}
        reply = answer_to(worker.process, order) if wanted else {}
        for left in reversed(range(len(texts))):
            index = reply["number"]
            yield {index: reply["prompt_logprobs"][len(texts[index].prompt.prompt_ids) :]}
            reply = next_answer(worker.process) if left else {}

    return Vllm(worker.about["version"], worker.about["device"], worker.about["dtype"], ask, measure)


def in_groups(names: Sequence[str], most: int) -> list[list[str]]:
    """Adapters that are loaded at the same time; one group without any if there is none."""
    return [list(names[i : i + most]) for i in range(0, len(names), most)] or [[]]


def _ask_left(
    vllm: Vllm,
    names: Sequence[str | None],
    asked: Sequence[tuple[Question, int]],
    decoding: Decoding,
    answered: Collection[int],
) -> Iterator[dict[int, Answer]]:
    """Ask what is not answered yet.

    Args:
        names: of each model's adapter.
    """
    left = [i for i in range(len(asked)) if i not in answered]
    for new in vllm.ask([(asked[i][0], names[asked[i][1]]) for i in left], decoding):
        yield {left[i]: given for i, given in new.items()}


def vllm_engine(vllm: Vllm, adapter: str | None) -> Engine:
    """A running vLLM as the engine of one model."""

    def answer(questions: Sequence[Question], decoding: Decoding, answered: Collection[int]) -> Iterator[dict[int, Answer]]:
        return _ask_left(vllm, [adapter], [(question, 0) for question in questions], decoding, answered)

    def measure(texts: Sequence[GivenText], measured: Collection[int]) -> Iterator[dict[int, list[float]]]:
        left = [i for i in range(len(texts)) if i not in measured]
        for new in vllm.measure([texts[i] for i in left], adapter):
            yield {left[i]: logprobs for i, logprobs in new.items()}

    return Engine("vllm", vllm.version, answer, vllm.device, vllm.dtype, measure)


def lora_rank(rank: int) -> int:
    """The smallest `max_lora_rank` of vLLM that is enough for a rank.

    Raises:
        UserError: if none is enough.
    """
    for supported in (8, 16, 32, 64, 128, 256, 320, 512):
        if rank <= supported:
            return supported
    raise UserError(f"vLLM serves adapters up to rank 512, not {rank}.")


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
