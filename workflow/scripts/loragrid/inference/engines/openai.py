"""The engine `openai`: a server with an OpenAI-compatible API."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeVar

from pydantic import Field, model_validator

from loragrid.data.render import Rendered, Renderer, end_tokens, own_ends
from loragrid.inference.answer_texts import added_tokens, cut_before, end_texts, special_marks
from loragrid.inference.engine import EngineSettings, ModelToAsk
from loragrid.inference.protocol import Answer, Decoding, Engine, GivenText, Question
from loragrid.inference.served_likelihoods import Way, measuring_request, read_logprobs
from loragrid.runtime.files import file_sha256, fingerprint, storable
from loragrid.runtime.job import log
from loragrid.sections import LATER, Server
from loragrid.text.thoughts import Spoken, spoken_in
from loragrid.text.words import trim

if TYPE_CHECKING:
    import openai

    from loragrid.runtime.server import Connection

T = TypeVar("T")


class OpenAiEngine(EngineSettings, Server):
    """A server with an OpenAI-compatible API: vLLM, llama.cpp, Ollama, TGI, `transformers serve`, or a hosted one."""

    type: Literal["openai"] = Field(description="Chooses this engine.")
    model: str | None = Field(None, description="The model's name on the server; by default its name here.")
    api: Literal["completions", "chat"] = Field(
        "completions",
        description="`completions`: the server gets the prompt as it was rendered here, so that models are asked as trained; "
        "`chat`: the server gets messages and writes the prompt by itself, as hosted models demand.",
    )
    send: Literal["text", "token_ids"] = Field(
        "text",
        description="With `completions`: prompts are sent as text, which the server tokenises once more, or as token ids, which "
        "vLLM and llama.cpp take; these leave no doubt.",
    )
    load_adapters: bool = Field(
        False,
        description="Have the server load a run's adapter before it is asked, and unload it afterwards (vLLM with "
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, on the same file system). Without it only base models can be asked.",
    )

    log_probabilities: Annotated[Way | None, LATER] = Field(
        None,
        description="How the server tells the probabilities of the tokens in a prompt, if it does, for the scorers `likelihood` "
        "and `choice`: `prompt_logprobs` as vLLM, or `echo` with `logprobs`, as the API of completions once had it. Needs `send: "
        "token_ids`.",
    )

    is_server: ClassVar[bool] = True
    likelihood_advice: ClassVar[str] = (
        "set log_probabilities in it, with send: token_ids, if the server has prompt_logprobs or echo; else leave the scorer out"
    )
    repeats_itself: ClassVar[bool] = False
    knows_number_type: ClassVar[bool] = False
    loads_whole_models: ClassVar[bool] = False

    @model_validator(mode="after")
    def _sends_what_is_measured(self) -> Self:
        if self.log_probabilities and self.sends_text:
            raise ValueError(
                "log_probabilities needs api: completions and send: token_ids, so that tokens are those of the renderer"
            )
        return self

    @property
    def loads_adapters(self) -> bool:
        return self.load_adapters

    @property
    def tells_likelihoods(self) -> bool:
        return self.log_probabilities is not None

    @property
    def address(self) -> str | None:
        return os.environ.get(self.base_url_variable)

    @property
    def needs_source(self) -> bool:
        return self.api != "chat"

    @property
    def sends_text(self) -> bool:
        return self.api == "chat" or self.send == "text"

    @contextmanager
    def open(self, model: ModelToAsk) -> Iterator[Engine]:
        """Connect to the server that has a base model.

        The server loads an adapter for as long as the adapter is asked, and has to find it under the same path as this machine.
        """
        from loragrid.runtime.server import connect

        server = connect(f"models.{model.name}.engine", self.model_dump())
        with _loaded_adapter(server, model) as adapter, ThreadPoolExecutor(self.concurrency) as pool:
            served = Served(server, self, adapter or self.model or model.name, model.renderer, *_ends_of(model))
            measure = partial(_measure, served, pool) if self.log_probabilities else None
            yield Engine("openai", version("openai"), partial(_answer, served, pool), "server", "as served", measure)


@contextmanager
def _loaded_adapter(server: Connection, model: ModelToAsk) -> Iterator[str | None]:
    """Have the server load the adapter of a model, if it has one. Yields the model's name on the server."""
    if model.trained is None:
        yield None
        return
    import openai

    from loragrid.runtime.server import explain, send

    # Another job may ask the same adapter at the same time.
    name = f"loragrid-{fingerprint([file_sha256(model.trained), model.job])[:16]}"
    folder = model.trained.parent.absolute()
    send(server, threading.Event(), lambda: _load_adapter(server.client, name, folder))
    try:
        yield name
    finally:
        try:
            server.client.post("/unload_lora_adapter", body={"lora_name": name}, cast_to=str)
        except openai.OpenAIError as error:
            log.info("the adapter could not be unloaded: %s", explain(server, error)[0])


def _load_adapter(client: openai.OpenAI, name: str, folder: Path) -> None:
    import openai

    try:
        client.post("/load_lora_adapter", body={"lora_name": name, "lora_path": str(folder)}, cast_to=str)
    except openai.BadRequestError as error:
        # A job that was killed has left the adapter there.
        if "already been loaded" not in str(error):
            raise


class Served(NamedTuple):
    """A model on a server, and how it is asked."""

    server: Connection
    engine: OpenAiEngine
    model: str
    """Its name on the server."""
    renderer: Renderer | None
    ends: Sequence[int] = ()
    """The ids that end an answer."""
    unknown_ends: Sequence[int] = ()
    """Those at which the server does not stop by itself."""

    def stops(self, decoding: Decoding) -> list[str]:
        """The texts that the server is told to stop at."""
        return [*decoding.stop, *(end_texts(self.renderer.tokenizer, self.unknown_ends) if self.renderer else ())]


def _ends_of(model: ModelToAsk) -> tuple[list[int], list[int]]:
    """The ids that end a model's answers, and those of them at which servers do not stop by themselves."""
    if model.renderer is None or model.folder is None:
        return [], []
    ends = end_tokens(model.renderer, model.folder)
    return ends, sorted({*ends} - own_ends(model.renderer, model.folder))


class _Turns:
    """Allows a limited number of requests at a time, and counts them."""

    def __init__(self, most: int) -> None:
        self._free, self._lock = threading.Semaphore(most), threading.Lock()
        self._under_way = 0

    @contextmanager
    def take(self) -> Iterator[int]:
        """Wait for a turn. Yields how many requests are under way then, including this one."""
        with self._free:
            with self._lock:
                self._under_way += 1
                together = self._under_way
            try:
                yield together
            finally:
                with self._lock:
                    self._under_way -= 1


def _answer(
    served: Served, pool: ThreadPoolExecutor, questions: Sequence[Question], decoding: Decoding, answered: Collection[int]
) -> Iterator[dict[int, Answer]]:
    from loragrid.runtime.server import send

    server, engine = served.server, served.engine
    started, stopping = time.perf_counter(), threading.Event()
    turns = _Turns(1 if decoding.latency else engine.concurrency)

    def ask(question: Question) -> Answer | None:
        with turns.take() as together:
            if stopping.is_set():
                return None
            try:
                fields = request(question, decoding, served)
                reply, began, ended = send(server, stopping, lambda: _completion(server.client, engine.api, fields))
            except BaseException:
                stopping.set()
                raise
        answer = without_ends(served, read_reply(reply, began - started, ended - began, together), decoding)
        _compare_lengths(served, question, answer)
        return answer

    asked = {pool.submit(ask, question): i for i, question in enumerate(questions) if i not in answered}
    yield from _gathered(asked, stopping)


def _gathered(asked: Mapping[Future[T | None], int], stopping: threading.Event) -> Iterator[dict[int, T]]:
    """What requests give, by their numbers, as it comes; None gives nothing.

    Args:
        stopping: is set in the end.

    Raises:
        Exception: of the first request that has failed, when all have ended.
    """
    problem: Exception | None = None
    try:
        for future in as_completed(asked):
            try:
                if (given := future.result()) is not None:
                    yield {asked[future]: given}
            except Exception as error:
                # What others have given in the meantime is kept before the job ends.
                problem = problem or error
    finally:
        stopping.set()
    if problem:
        raise problem


def _measure(
    served: Served, pool: ThreadPoolExecutor, texts: Sequence[GivenText], measured: Collection[int]
) -> Iterator[dict[int, list[float]]]:
    """Ask how likely each text is. See `MeasureFunction`."""
    from loragrid.runtime.server import reply_of, send

    server, way, stopping = served.server, served.engine.log_probabilities, threading.Event()
    assert way is not None

    def ask(text: GivenText) -> list[float] | None:
        if stopping.is_set():
            return None
        fields = measuring_request(text, served.model, way) | served.engine.settings
        fields = {key: value for key, value in fields.items() if value is not None}

        def call() -> list[float]:
            return read_logprobs(reply_of(server.client.post("/completions", body=fields, cast_to=object)), text, way)

        try:
            return send(server, stopping, call)
        except BaseException:
            stopping.set()
            raise

    yield from _gathered({pool.submit(ask, text): i for i, text in enumerate(texts) if i not in measured}, stopping)


def _compare_lengths(served: Served, question: Question, answer: Answer) -> None:
    """Say so in the log if the server makes other tokens from a prompt than the renderer."""
    here = len(question.prompt.prompt_ids)
    if served.renderer is not None and served.engine.api == "completions" and answer.prompt_tokens != here:
        said = "the server counts %d tokens in a prompt that has %d here: does it add some? Try send: token_ids"
        log.info(said, answer.prompt_tokens, here)


def without_ends(served: Served, answer: Answer, decoding: Decoding) -> Answer:
    """An answer without the text of a token that ends it: servers leave out only the tokens that they count as special.

    The answer also ends where the model ended it, if the server does not know that token as an end.
    """
    if served.renderer is None:
        return answer
    tokenizer = served.renderer.tokenizer
    text, ended = cut_before(answer.text, end_texts(tokenizer, served.ends))
    if kept := special_marks(tokenizer, decoding.thought_marks):
        for id_, token in added_tokens(tokenizer).items():
            text = text.replace(token.content, "") if token.special and id_ not in kept else text
    return answer._replace(text=trim(text), finish_reason="stop" if ended else answer.finish_reason)


def request(question: Question, decoding: Decoding, served: Served) -> dict[str, Any]:
    """The fields of a request. Fields that the API does not have itself are given only if they are needed."""
    engine, renderer = served.engine, served.renderer
    fields: dict[str, Any] = {
        "model": served.model,
        engine.length_field: decoding.max_new_tokens,
        "temperature": decoding.temperature,
    }
    if decoding.temperature:
        fields["seed"] = question.seed
    if decoding.top_p < 1:
        fields["top_p"] = decoding.top_p
    if stops := served.stops(decoding) if engine.api == "completions" else list(decoding.stop):
        fields["stop"] = stops
    if decoding.top_k:
        fields["top_k"] = decoding.top_k
    if decoding.repetition_penalty != 1:
        fields["repetition_penalty"] = decoding.repetition_penalty
    if decoding.min_new_tokens:
        fields["min_tokens"] = decoding.min_new_tokens
    if engine.api == "chat":
        fields["messages"] = [_as_sent(message) for message in question.prompt.messages]
        if question.prompt.tools:
            fields["tools"] = list(question.prompt.tools)
    elif engine.send == "text":
        fields["prompt"] = text_to_send(question.prompt, renderer)
    else:
        assert renderer is not None
        # A server that takes token ids takes the ids of end tokens too.
        fields |= {"prompt": question.prompt.prompt_ids, "stop_token_ids": list(served.ends)}
        if special_marks(renderer.tokenizer, decoding.thought_marks):
            fields["skip_special_tokens"] = False
    return {key: value for key, value in (fields | engine.settings).items() if value is not None}


def _as_sent(message: dict[str, Any]) -> dict[str, Any]:
    """A message as the API has it: the arguments of tools are JSON texts there."""
    if not (calls := message.get("tool_calls")):
        return message
    called = [{**one, "function": one["function"] | {"arguments": json.dumps(one["function"]["arguments"])}} for one in calls]
    return message | {"tool_calls": called}


def text_to_send(prompt: Rendered, renderer: Renderer | None) -> str:
    """A prompt as text from which a server makes the same tokens.

    A token that a tokenizer puts before each text by itself is left out.
    """
    beginning = renderer.tokenizer.bos_token if renderer is not None else None
    if beginning and renderer is not None and prompt.prompt.startswith(beginning):
        shorter = prompt.prompt.removeprefix(beginning)
        if renderer.tokenizer(shorter).input_ids == prompt.prompt_ids:
            return shorter
    return prompt.prompt


def _completion(client: openai.OpenAI, api: str, fields: dict[str, Any]) -> tuple[dict[str, Any], float, float]:
    """The server's reply, with the times of the request and of the reply."""
    from loragrid.runtime.server import reply_of

    path = "/chat/completions" if api == "chat" else "/completions"
    began = time.perf_counter()
    reply = reply_of(client.post(path, body=fields, cast_to=object))
    read_reply(reply, 0, 0, 1)
    return reply, began, time.perf_counter()


def read_reply(reply: dict[str, Any], queue_s: float, compute_s: float, in_flight: int) -> Answer:
    """The answer in a reply of the server.

    Args:
        in_flight: requests that were under way when the request was sent, including itself; they share the computing.

    Raises:
        ValueError: if the reply is not as the API describes it.
    """
    # Importing openai takes a second.
    from loragrid.runtime.server import tokens_of

    try:
        choice = reply["choices"][0]
        said = spoken_in(choice["message"]) if "message" in choice else Spoken("", choice["text"] or "")
        if not isinstance(said.answer, str):
            raise ValueError("the reply's content is no text")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("the reply lacks an answer") from None
    if (tokens := tokens_of(reply.get("usage"))) is None:
        raise ValueError(f"the reply does not say how many tokens it has; its usage is {short(reply.get('usage'))}")
    return Answer(
        text=trim(storable(said.answer)),
        token_ids=[],
        prompt_tokens=tokens[0],
        new_tokens=tokens[1],
        finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
        queue_s=round(queue_s, 6),
        compute_s=round(compute_s, 6),
        runtime_s=round(compute_s / in_flight, 6),
        batch_size=in_flight,
        thoughts=storable(said.thoughts).strip(),
    )
