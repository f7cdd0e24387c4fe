"""Answers of a model in this process, a batch of questions at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Sequence
from itertools import groupby
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.data.render import Renderer, pad_token
from loragrid.errors import UserError
from loragrid.inference.answer_texts import stopped_text, text_reader
from loragrid.inference.generation import generate_together
from loragrid.inference.padding import cache_misleads, why_alone
from loragrid.inference.protocol import Answer, AnswerFunction, AskSeveral, Decoding, Question
from loragrid.inference.row_adapters import row_adapters
from loragrid.models.adapters import learns_prompt
from loragrid.models.device import free_cached_memory, is_out_of_memory
from loragrid.models.loading import padding_id, refuse_ids_without_embedding
from loragrid.models.rope import stretched_by_answer, stretches_of
from loragrid.runtime.job import log

if TYPE_CHECKING:
    from loragrid.models.several_adapters import SeveralAdapters

BATCH_TOKENS = {"cpu": 16384, "cuda": 65536}
"""Tokens of a batch, by the type of device, if the configuration does not say."""


class _Loaded(NamedTuple):
    """A loaded model, and how it is asked."""

    model: Any
    renderer: Renderer
    ends: Sequence[int]
    pad: int
    batch_tokens: int
    never_together: str
    """Why prompts are answered one at a time; empty if they share batches."""
    use_cache: bool
    several: SeveralAdapters | None
    """The adapters on the model, if each question has one of its own."""


def answer_with(model: Any, renderer: Renderer, ends: Sequence[int], batch_tokens: int) -> AnswerFunction:
    """The function that answers with a loaded model.

    Prompts of similar length share a batch, the longest first: a prompt that does not fit in memory fails at the start. If
    memory runs out, batches have half as many tokens from then on. A prompt is answered by itself if a batch would change its
    answer: `why_alone` says for which models, and `stretched_by_answer` for which prompts.
    """
    loaded = _look_at(model, renderer, ends, batch_tokens)
    return lambda questions, decoding, answered: _answer(loaded, questions, None, decoding, answered)


def answer_several_with(
    model: Any, several: SeveralAdapters, owners: Sequence[int], renderer: Renderer, ends: Sequence[int], batch_tokens: int
) -> AskSeveral:
    """The function that answers with several adapters on a loaded model. Questions to different adapters share batches.

    Args:
        model: the base model, of which `attends_from_cache` is true.
        owners: for each model that is asked, how tokens name their adapter.
    """
    loaded = _look_at(model, renderer, ends, batch_tokens, several)

    def ask(asked: Sequence[tuple[Question, int]], decoding: Decoding, answered: Collection[int]) -> Iterator[dict[int, Answer]]:
        return _answer(loaded, [question for question, _ in asked], [owners[i] for _, i in asked], decoding, answered)

    return ask


def _look_at(
    model: Any, renderer: Renderer, ends: Sequence[int], batch_tokens: int, several: SeveralAdapters | None = None
) -> _Loaded:
    pad = padding_id(model, pad_token(renderer))
    never_together = why_alone(model, pad)
    if never_together:
        log.info("prompts are answered one at a time: %s", never_together)
    if not (use_cache := not cache_misleads(model, pad)):
        log.info("each token is computed from the whole text: with its cache, the model would give other answers")
    return _Loaded(model, renderer, ends, pad, batch_tokens, never_together, use_cache, several)


def _answer(
    loaded: _Loaded,
    questions: Sequence[Question],
    owners: Sequence[int] | None,
    decoding: Decoding,
    answered: Collection[int],
) -> Iterator[dict[int, Answer]]:
    started, alone = perf_counter(), decoding.latency or bool(loaded.never_together)
    of_one_length, stretches = learns_prompt(loaded.model), stretches_of(loaded.model)
    refuse_ids_without_embedding(loaded.model, loaded.renderer.tokenizer, (question.prompt.prompt_ids for question in questions))
    of_prompts = [len(question.prompt.prompt_ids) for question in questions]
    lengths = [of_prompt + decoding.max_new_tokens for of_prompt in of_prompts]

    def plan(indices: Sequence[int], most_tokens: int) -> list[list[int]]:
        alike: defaultdict[Hashable, list[int]] = defaultdict(list)
        for i in indices:
            alike[stretched_by_answer(of_prompts[i], lengths[i], stretches)].append(i)
        return [
            [of_one[i] for i in batch]
            for stretch, of_one in alike.items()
            for batch in batches([lengths[i] for i in of_one], most_tokens, of_one_length, alone or stretch is None)
        ]

    # The batches are the same as in an uninterrupted job: the shape of a batch changes the rounding.
    waiting = plan(range(len(questions)), loaded.batch_tokens)
    while waiting:
        batch = [i for i in waiting.pop(0) if i not in answered]
        if not batch:
            continue
        new: list[Answer] = []
        try:
            asked, of_batch = [questions[i] for i in batch], [owners[i] for i in batch] if owners else None
            new = _answer_batch(loaded, asked, of_batch, decoding, started)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise UserError(f"memory runs out at one prompt of {lengths[batch[0]]} tokens, its answer counted.") from None
        if new:
            yield dict(zip(batch, new, strict=True))
            continue
        # The memory of the attempt is free only here, behind the error.
        free_cached_memory()
        budget = len(batch) * max(lengths[i] for i in batch) // 2
        log.info("memory runs out at %d prompts; going on with %d tokens at a time", len(batch), budget)
        waiting = plan([*batch, *(i for later in waiting for i in later if i not in answered)], budget)


def _answer_batch(
    loaded: _Loaded,
    questions: Sequence[Question],
    owners: Sequence[int] | None,
    decoding: Decoding,
    job_started: float,
) -> list[Answer]:
    started = perf_counter()
    text_of = text_reader(loaded.renderer.tokenizer, set(loaded.ends), decoding.thought_marks)

    def is_stopped(ids: list[int]) -> bool:
        return bool(decoding.stop) and stopped_text(text_of, ids, decoding)[1]

    prompts, seeds = [q.prompt.prompt_ids for q in questions], [q.seed for q in questions]
    adapters = row_adapters(loaded.several, owners) if loaded.several and owners else None
    batch = (loaded.model, prompts, seeds, decoding, loaded.ends, loaded.pad, is_stopped)
    sequences = generate_together(*batch, loaded.use_cache, adapters)
    share = round((perf_counter() - started) / len(questions), 6)
    answers = []
    for prompt, (ids, compute_s) in zip(prompts, sequences, strict=True):
        text, stopped = stopped_text(text_of, ids, decoding)
        answers.append(
            Answer(
                text=text,
                token_ids=ids,
                prompt_tokens=len(prompt),
                new_tokens=len(ids),
                finish_reason="stop" if stopped or ids[-1] in loaded.ends else "length",
                queue_s=round(started - job_started, 6),
                compute_s=round(compute_s, 6),
                runtime_s=share,
                batch_size=len(questions),
            )
        )
    return answers


def batches(lengths: Sequence[int], batch_tokens: int, of_one_length: bool, alone: bool = False) -> list[list[int]]:
    """Indices of the prompts that are answered together, the longest first.

    Args:
        lengths: tokens of each prompt with its longest answer.
        batch_tokens: maximum number of tokens of a batch, where each prompt counts as the longest; a single prompt may have more.
        of_one_length: put only prompts of equal length together. peft places a learnt prompt before the padding: its distance to
            the words behind it would depend on the other prompts of a batch.
        alone: answer each by itself.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    groups = [list(group) for _, group in groupby(order, key=lambda i: lengths[i])] if of_one_length else [order]
    planned = []
    for group in groups:
        while group:
            size = 1 if alone else max(1, batch_tokens // lengths[group[0]])
            planned.append(group[:size])
            group = group[size:]
    return planned
