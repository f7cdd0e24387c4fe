"""The engine `openai`: a server with an OpenAI-compatible API."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openai

from loragrid.data.render import Rendered, Renderer
from loragrid.inference.protocol import Decoding, Engine, Generated, Question
from loragrid.runtime.files import file_sha256, fingerprint, storable
from loragrid.runtime.job import log
from loragrid.runtime.server import Connection, connect, explain, send


@contextmanager
def open_openai(
    name: str, settings: dict[str, Any], trained: Path | None, renderer: Renderer | None, job: str
) -> Iterator[Engine]:
    """Connect to the server that has a base model; with an adapter, which the server loads for as long as it is needed.

    Args:
        name: of the base model.
        settings: those of its `engine`.
        trained: weights of the adapter; the server must find them under the same path.
        renderer: of the model, where its tokenizer is here.
        job: tells this job from others, which may ask the same adapter at the same time.
    """
    server = connect(f"models.{name}.engine", settings)
    model = settings["model"] or name
    if trained is not None:
        model = f"loragrid-{fingerprint([file_sha256(trained), job])[:16]}"
        send(server, threading.Event(), lambda: _load_adapter(server.client, model, trained.parent.absolute()))
    try:
        with ThreadPoolExecutor(settings["concurrency"]) as pool:

            def answer(
                questions: Sequence[Question], decoding: Decoding, answered: Collection[int]
            ) -> Iterator[dict[int, Generated]]:
                yield from _answer(server, model, settings, renderer, pool, questions, decoding, answered)

            yield Engine("openai", version("openai"), answer, "server", "as served")
    finally:
        if trained is not None:
            try:
                server.client.post("/unload_lora_adapter", body={"lora_name": model}, cast_to=str)
            except openai.OpenAIError as error:
                log.info("the adapter could not be unloaded: %s", explain(server, error)[0])


def _load_adapter(client: openai.OpenAI, name: str, folder: Path) -> None:
    try:
        client.post("/load_lora_adapter", body={"lora_name": name, "lora_path": str(folder)}, cast_to=str)
    except openai.BadRequestError as error:
        # A job that was killed has left it there.
        if "already been loaded" not in str(error):
            raise


def _answer(
    server: Connection,
    model: str,
    settings: dict[str, Any],
    renderer: Renderer | None,
    pool: ThreadPoolExecutor,
    questions: Sequence[Question],
    decoding: Decoding,
    answered: Collection[int],
) -> Iterator[dict[int, Generated]]:
    started, lock, stopping = time.perf_counter(), threading.Lock(), threading.Event()
    in_flight = 0
    alone = threading.Semaphore(1 if decoding.latency else settings["concurrency"])

    def ask(question: Question) -> Generated | None:
        nonlocal in_flight
        with alone:
            if stopping.is_set():
                return None
            with lock:
                in_flight += 1
                together = in_flight
            try:
                fields = request(question, decoding, model, settings, renderer)
                reply, began, ended = send(server, stopping, lambda: _completion(server.client, settings["api"], fields))
            except BaseException:
                stopping.set()
                raise
            finally:
                with lock:
                    in_flight -= 1
        found = read_reply(reply, began - started, ended - began, together)
        if renderer is not None and settings["api"] == "completions" and found.prompt_tokens != len(question.prompt.prompt_ids):
            said = (found.prompt_tokens, len(question.prompt.prompt_ids))
            log.info("the server counts %d tokens in a prompt that has %d here: does it add some? Try send: token_ids", *said)
        return found

    asked = {pool.submit(ask, question): i for i, question in enumerate(questions) if i not in answered}
    problem: Exception | None = None
    try:
        for future in as_completed(asked):
            try:
                if generated := future.result():
                    yield {asked[future]: generated}
            except Exception as error:
                # What others have finished in the meantime is kept before the job ends.
                problem = problem or error
    finally:
        stopping.set()
    if problem:
        raise problem


def request(
    question: Question, decoding: Decoding, model: str, settings: dict[str, Any], renderer: Renderer | None
) -> dict[str, Any]:
    """The fields of a request; those beyond the API's own only where they are needed."""
    fields: dict[str, Any] = {
        "model": model,
        settings["length_field"]: decoding.max_new_tokens,
        "temperature": decoding.temperature,
    }
    if decoding.temperature:
        fields["seed"] = question.seed
    if decoding.top_p < 1:
        fields["top_p"] = decoding.top_p
    if decoding.stop:
        fields["stop"] = list(decoding.stop)
    if decoding.top_k:
        fields["top_k"] = decoding.top_k
    if decoding.repetition_penalty != 1:
        fields["repetition_penalty"] = decoding.repetition_penalty
    if decoding.min_new_tokens:
        fields["min_tokens"] = decoding.min_new_tokens
    if settings["api"] == "chat":
        fields["messages"] = list(question.prompt.messages)
    elif settings["send"] == "text":
        fields["prompt"] = text_to_send(question.prompt, renderer)
    else:
        assert renderer is not None
        # What takes token ids takes the ids of end tokens as well.
        fields |= {"prompt": question.prompt.prompt_ids, "stop_token_ids": [renderer.end_of_turn]}
    return {key: value for key, value in (fields | settings["settings"]).items() if value is not None}


def text_to_send(prompt: Rendered, renderer: Renderer | None) -> str:
    """A prompt as text from which a server makes the same tokens: without the token at its beginning that a tokenizer adds by itself."""
    beginning = renderer.tokenizer.bos_token if renderer is not None else None
    if beginning and renderer is not None and prompt.prompt.startswith(beginning):
        shorter = prompt.prompt.removeprefix(beginning)
        if renderer.tokenizer(shorter).input_ids == prompt.prompt_ids:
            return shorter
    return prompt.prompt


def _completion(client: openai.OpenAI, api: str, fields: dict[str, Any]) -> tuple[dict[str, Any], float, float]:
    """The server's reply, with the times at which it was asked and at which it had answered."""
    path = "/chat/completions" if api == "chat" else "/completions"
    began = time.perf_counter()
    reply = client.post(path, body=fields, cast_to=object)
    if not isinstance(reply, dict):
        raise ValueError("the reply is not a JSON object")
    read_reply(reply, 0, 0, 1)
    return reply, began, time.perf_counter()


def read_reply(reply: dict[str, Any], queue_s: float, compute_s: float, in_flight: int) -> Generated:
    """The answer in a reply of the server.

    Args:
        in_flight: requests that were under way when it was sent, itself counted; they share the computing.

    Raises:
        ValueError: where the reply is not as the API describes it.
    """
    try:
        choice, usage = reply["choices"][0], reply["usage"]
        text = (choice["message"]["content"] if "message" in choice else choice["text"]) or ""
        if not isinstance(text, str):
            raise ValueError("the reply's content is no text")
        tokens = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (KeyError, IndexError, TypeError):
        raise ValueError("the reply lacks an answer, or how many tokens it has") from None
    return Generated(
        text=storable(text).strip(),
        token_ids=[],
        prompt_tokens=tokens[0],
        new_tokens=tokens[1],
        finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
        queue_s=round(queue_s, 6),
        compute_s=round(compute_s, 6),
        runtime_s=round(compute_s / in_flight, 6),
        batch_size=in_flight,
    )
