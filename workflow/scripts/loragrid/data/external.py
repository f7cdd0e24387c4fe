"""Predictions that were made elsewhere, matched with the test examples that they answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field

from loragrid.data.answers import answer_fields, count_thoughts
from loragrid.data.rows import Row, read_rows
from loragrid.data.splitting import subset
from loragrid.errors import UserError
from loragrid.records import ACCOUNT, Example, Prediction, question, read_records, write_records
from loragrid.runtime.files import file_sha256, write_json
from loragrid.runtime.job import MENDED, git_commit, log, versions
from loragrid.runtime.templates import fill_template
from loragrid.sections import StageSettings
from loragrid.text.thoughts import Spoken
from loragrid.text.words import normalise_space, trim

Match = Literal["id", "prompt"]


class ImportedPredictionsSettings(StageSettings):
    """What a job that imports predictions is told."""

    axes: dict[str, Any] = Field(description="What each prediction says about its origin and the data that it is evaluated on.")
    match: Match = Field(description="What a row is matched by.")
    key: str = Field(description="Template of that.")
    prediction: str = Field(description="Template of the answer.")
    subset: int | None = Field(description="How many test examples are evaluated; None: all.")


class Answer(NamedTuple):
    """A row of a file of predictions."""

    where: str
    key: str
    """The id or the prompt of the test example that it answers."""
    text: str


def read_answers(rows: Iterable[Row], key: str, prediction: str) -> Iterator[Answer]:
    """The answers in rows of raw data.

    Args:
        key: template of what a row is matched by.
        prediction: template of the answer.

    Raises:
        UserError: naming the place of a row that a template does not fit.
    """
    for where, row in rows:
        yield Answer(where, _fill(where, key, row).strip(), trim(_fill(where, prediction, row)))


def _fill(where: str, template: str, row: Mapping[str, Any]) -> str:
    try:
        # What is null was not answered.
        return fill_template(template, {key: "" if value is None else value for key, value in row.items()})
    except UserError as error:
        raise UserError(f"{where}: the template '{template}' fails: {error}") from None


def keys_of(example: Example, match: Match) -> set[str]:
    """The texts that a row may name to answer this example: its id; or its whole question or its input, with single spaces."""
    if match == "id":
        return {example.id}
    return {normalise_space(text) for text in (question(example), example.input) if text}


def match_answers(
    path: str, answers: Iterable[Answer], test: Sequence[Example], evaluated: Sequence[Example], match: Match
) -> tuple[list[Answer], list[Answer]]:
    """The answer to each evaluated example, in order, and the answers to other test examples.

    Args:
        path: the file that the answers come from, for messages.
        test: all test examples.
        evaluated: the test examples that are predicted.

    Raises:
        UserError: one sentence each on evaluated examples without an answer, examples with several answers, and answers that
            belong to no example, or to more than one.
    """
    ids: dict[str, set[str]] = {}
    for example in test:
        for key in keys_of(example, match):
            ids.setdefault(key, set()).add(example.id)
    wanted = {example.id for example in evaluated}
    answer_of: dict[str, Answer] = {}
    ignored, repeated, surplus, ambiguous = [], [], [], []
    for answer in answers:
        fitting = ids.get(normalise_space(answer.key), set())
        if len(fitting) > 1:
            ambiguous.append(answer)
        elif not fitting:
            surplus.append(answer)
        elif not fitting <= wanted:
            ignored.append(answer)
        elif fitting <= answer_of.keys():
            repeated.append(answer)
        else:
            answer_of[min(fitting)] = answer
    missing = [example.id for example in evaluated if example.id not in answer_of]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(evaluated)} evaluated test examples have no row: {_some(missing)}")
    for rows, what in (
        (repeated, "of an evaluated test example that another row answers already"),
        (surplus, f"that belong to no test example by their {match}"),
        (ambiguous, f"that belong to several test examples by their {match}"),
    ):
        if rows:
            problems.append(f"rows {what} ({len(rows)}): {_some(row.where.removeprefix(f'{path}, ') for row in rows)}")
    if problems:
        raise UserError("\n".join(f"{path}: {problem}." for problem in problems))
    return [answer_of[example.id] for example in evaluated], ignored


def _some(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def external_prediction(axes: Mapping[str, Any], example: Example, answer: Answer, match: Match) -> Prediction:
    """The record of an answer. Nothing is known of its computation."""
    unknown = dict.fromkeys(ACCOUNT)
    return Prediction(
        id=example.id,
        prompt=answer.key if match == "prompt" else question(example),
        **answer_fields(example, [Spoken("", answer.text)]),
        engine="external",
        engine_version="",
        **axes,
        **unknown,
    )


def import_predictions(settings: ImportedPredictionsSettings, file: str, test: str, predictions: str, manifest: str) -> None:
    """Write the predictions in a file as records, one for each evaluated test example, with their manifest.

    Args:
        file: the rows.
        test: the test set that they answer.
        predictions, manifest: what is written.

    Raises:
        UserError: if rows and evaluated examples do not fit together.
    """
    tests = read_records(test, Example)
    evaluated = subset(tests, settings.subset)
    rows = read_answers(read_rows(file), settings.key, settings.prediction)
    answers, ignored = match_answers(file, rows, tests, evaluated, settings.match)
    if ignored:
        log.info("%d rows ignored: they answer test examples outside the subset of %d", len(ignored), len(evaluated))
    pairs = zip(evaluated, answers, strict=True)
    records = [external_prediction(settings.axes, *pair, settings.match) for pair in pairs]
    write_records(predictions, records)
    write_json(
        manifest,
        {
            "axes": settings.axes,
            "file": file,
            "match": settings.match,
            "templates": {settings.match: settings.key, "prediction": settings.prediction},
            "subset": settings.subset,
            "stage_version": settings.version,
            "mended": MENDED,
            "fingerprints": {"file": file_sha256(file), "test": file_sha256(test)},
            "examples": len(evaluated),
            "ignored": len(ignored),
            **count_thoughts(records),
            "git_commit": git_commit(),
            "versions": versions(),
        },
    )
