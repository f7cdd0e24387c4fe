"""Prompts and answers: what every engine is given, what it gives back, and how finished answers are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter

from loragrid.data.answers import answer_fields
from loragrid.data.render import Rendered
from loragrid.records import ACCOUNT, Example, Prediction
from loragrid.runtime.files import fingerprint
from loragrid.runtime.job import log
from loragrid.runtime.journal import append_to_journal, read_journal
from loragrid.text.thoughts import MARKS, Marks, Spoken


class Decoding(NamedTuple):
    """How the tokens of an answer are chosen. `decodings` in the configuration describes each field."""

    max_new_tokens: int
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    stop: Sequence[str] = ()
    samples: int = 1
    seed: int = 0
    latency: bool = False
    thought_marks: Marks = MARKS


class Question(NamedTuple):
    """A prompt to which one answer is wanted."""

    prompt: Rendered
    seed: int
    """The seed of the random draws that choose the answer's tokens."""


class Answer(NamedTuple):
    """The answer to one question."""

    text: str
    """With thoughts, if the model marks them in its text."""
    token_ids: list[int]
    """With the end-of-turn token, if the model gave it; empty if the engine gives only text."""
    prompt_tokens: int
    new_tokens: int
    finish_reason: Literal["stop", "length"]
    queue_s: float
    """Seconds that the question waited for its turn."""
    compute_s: float
    """Seconds from its turn until the answer was there."""
    runtime_s: float
    """Its share of the computing: seconds for all questions that were answered together, divided by their number."""
    batch_size: int
    thoughts: str = ""
    """What a server has told apart from the text."""


AnswerFunction = Callable[[Sequence[Question], Decoding, Collection[int]], Iterator[dict[int, Answer]]]
"""What an engine does with questions. It answers the questions whose index is not among the indices answered already. It gives
answers by index, as soon as they are there. Answers that come together are kept together."""


AskSeveral = Callable[[Sequence[tuple[Question, int]], Decoding, Collection[int]], Iterator[dict[int, Answer]]]
"""The same for several models at once: each question comes with the index of the model that is asked."""


class GivenText(NamedTuple):
    """A text whose probability as the answer to a prompt is wanted."""

    prompt: Rendered
    text: str
    token_ids: list[int]
    """Of the text alone; never empty."""


MeasureFunction = Callable[[Sequence[GivenText], Collection[int]], Iterator[dict[int, list[float]]]]
"""What an engine does with given texts. It measures the texts whose index is not among the indices measured already. It gives,
by index and as soon as they are there, the natural logarithms of the probabilities of each text's tokens."""


class Engine(NamedTuple):
    """An engine that has opened a model, which is ready to be asked."""

    name: str
    version: str
    answer: AnswerFunction
    device: str
    dtype: str
    measure: MeasureFunction | None = None
    """None if it cannot tell the probability of a given text."""

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from other engines, as far as answers depend on it."""
        # The key `answer` stands in the names of journals that earlier versions began.
        return {"name": self.name, "version": self.version, "answer": None, "device": self.device, "dtype": self.dtype}


def one_of(ask: AskSeveral, model: int) -> AnswerFunction:
    """One of the models that are asked together, by itself.

    Args:
        model: its index.
    """
    return lambda questions, decoding, answered: ask([(question, model) for question in questions], decoding, answered)


def pose(prompts: Sequence[Rendered], decoding: Decoding) -> list[Question]:
    """The questions of a job, prompt by prompt: each prompt as often as answers to it are wanted.

    The seed of a question is made from its own prompt, so that its draws do not depend on the other questions.
    """
    seeds = [[[p.prompt_ids, p.prompt], decoding.seed, sample] for p in prompts for sample in range(decoding.samples)]
    repeated = [prompt for prompt in prompts for _ in range(decoding.samples)]
    return [Question(p, int(fingerprint(seed)[:15], 16)) for p, seed in zip(repeated, seeds, strict=True)]


class Asked(NamedTuple):
    """The questions of a job, and the answers that are there."""

    questions: list[Question]
    keys: list[str]
    """The name of each answer in the journal."""
    answers: dict[int, Answer]
    """By the question's index."""
    journal: Path | None

    def add(self, new: Mapping[int, Answer]) -> None:
        """Keep answers that have come together."""
        if self.journal:
            append_to_journal(self.journal, {self.keys[i]: one._asdict() for i, one in new.items()})
        self.answers.update(new)

    def of_each_prompt(self, samples: int) -> list[list[Answer]]:
        """The answers to each prompt, when all are there."""
        return [[self.answers[i + j] for j in range(samples)] for i in range(0, len(self.questions), samples)]


def begin_to_ask(prompts: Sequence[Rendered], decoding: Decoding, journal: Path | None) -> Asked:
    """The questions of a job, with the answers that its journal holds already."""
    questions = pose(prompts, decoding)
    keys = [fingerprint([q.prompt.prompt_ids, q.prompt.prompt, q.seed]) for q in questions]
    finished = read_journal(journal, _kept_answer) if journal else {}
    answers = {i: finished[key] for i, key in enumerate(keys) if key in finished}
    if answers:
        log.info("going on after %d of %d prompts", len(answers), len(questions))
    return Asked(questions, keys, answers, journal)


def generate(
    answer: AnswerFunction, prompts: Sequence[Rendered], decoding: Decoding, journal: Path | None = None
) -> list[list[Answer]]:
    """The answers to each prompt, as many as the decoding wants.

    Args:
        journal: holds finished answers. Answers that it holds already are not computed again. Its name must depend on everything
            that makes answers differ, besides the prompt.
    """
    asked = begin_to_ask(prompts, decoding, journal)
    if len(asked.answers) < len(asked.questions):
        for new in told_progress(answer(asked.questions, decoding, frozenset(asked.answers)), asked):
            asked.add(new)
    return asked.of_each_prompt(decoding.samples)


def told_progress(arriving: Iterable[dict[int, Answer]], *asked: Asked) -> Iterator[dict[int, Answer]]:
    """Answers as they come, while a bar in the log tells how many of the jobs' questions are answered."""
    # The Snakefile imports this module, but needs no progress bar.
    from tqdm import tqdm

    total, there = sum(len(of_job.questions) for of_job in asked), sum(len(of_job.answers) for of_job in asked)
    with tqdm(total=total, initial=there, desc="predicting", unit="prompt", mininterval=5) as progress:
        for new in arriving:
            yield new
            progress.update(len(new))


def _kept_answer(_: str, value: Any) -> Answer:
    """An answer as a journal holds it.

    Raises:
        ValueError: if it is none.
    """
    return _ANSWER.validate_python(value)


_ANSWER = TypeAdapter(Answer)


def prediction_identity(
    file: str,
    fingerprints: Mapping[str, Any],
    settings: Mapping[str, Any],
    decoding: Decoding,
    engine: Engine,
    versions: Mapping[str, Any],
) -> str:
    """The name of a job's journal: a hash of all that an answer depends on, besides its prompt.

    Args:
        file: the prediction file.
        fingerprints: hashes of the files of model, tokenizer and adapter.
        settings: of the model and its engine.
        versions: of the packages that compute, and of the stage.
    """
    chosen = {key: value for key, value in decoding._asdict().items() if key != "samples"}
    parts = [file, fingerprints, settings, chosen, engine.identity, versions]
    return fingerprint(parts)[:32]


class MadeBy(NamedTuple):
    """The engine that an answer comes from."""

    engine: str
    engine_version: str


class PromptAnswers(NamedTuple):
    """The answers to one prompt, as many as the decoding wants, and the engine that gave them."""

    made_by: MadeBy
    answers: list[Answer]


def known_answers(predictions: Sequence[Prediction]) -> dict[str, PromptAnswers]:
    """The answers in an existing prediction file, by prompt."""
    known: dict[str, PromptAnswers] = {}
    for prediction in sorted(predictions, key=lambda one: one.sample):
        for part in prediction.parts:
            made_by = MadeBy(prediction.engine, prediction.engine_version)
            answers = known.setdefault(part["prompt"], PromptAnswers(made_by, [])).answers
            # Two examples may have the same prompt. Their answers are then the same too.
            if len(answers) == prediction.sample:
                account = {name: part[name] for name in ACCOUNT}
                answers.append(Answer(text=part["prediction"], token_ids=[], thoughts=part["thoughts"] or "", **account))
    return known


def make_predictions(
    axes: Mapping[str, Any],
    example: Example,
    prompts: Sequence[Rendered],
    answered: Sequence[PromptAnswers],
    marks: Marks = MARKS,
    opened: Sequence[str | None] = (),
) -> list[Prediction]:
    """The records of the answers to all prompts of an example, one for each sample.

    Args:
        marks: of thoughts.
        opened: for each prompt, the closing mark of a thought that the prompt opens and that goes on in the answer.
    """
    made_by = answered[0].made_by
    records = []
    for sample, answers in enumerate(zip(*(of_prompt.answers for of_prompt in answered), strict=True)):
        fields: dict[str, Any] = {
            "prompt": [prompt.prompt for prompt in prompts],
            **{name: [getattr(answer, name) for answer in answers] for name in ACCOUNT},
        }
        if example.answers == "one":
            fields = {name: values[0] for name, values in fields.items()}
        fields |= answer_fields(example, [Spoken(answer.thoughts, answer.text) for answer in answers], marks, opened)
        of_example = {"id": example.id, "sample": sample, "answers": example.answers}
        records.append(Prediction(**of_example, **axes, **fields, **made_by._asdict()))
    return records
