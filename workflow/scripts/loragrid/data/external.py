"""Predictions that were made elsewhere, matched with the test examples that they answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field

from loragrid.data.answers import answer_fields, count_thoughts
from loragrid.data.rows import Row, read_rows
from loragrid.data.splitting import subset
from loragrid.data.values import plain
from loragrid.errors import UserError
from loragrid.records import ACCOUNT, Example, Prediction, question, read_records, write_records
from loragrid.runtime.files import file_sha256, write_json
from loragrid.runtime.job import MENDED, git_commit, log, versions
from loragrid.runtime.templates import fill_from_row
from loragrid.sections import Section, StageSettings
from loragrid.text.thoughts import Spoken
from loragrid.text.words import normalise_space, one_form, some_of, trim

Match = Literal["id", "prompt"]


class Matching(Section):
    """How rows are matched with test examples, if examples without a row are no error."""

    by: Match = Field(description="What a row is matched by.")
    missing: Literal["empty"] = Field(description="What a test example without a row gets: an empty answer.")


class PromptAndReference(Section):
    """Templates of what a row is matched by, if that is more than its prompt."""

    prompt: str
    reference: str


class ImportedPredictionsSettings(StageSettings):
    """What a job that imports predictions is told."""

    axes: dict[str, Any] = Field(description="What each prediction says about its origin and the data that it is evaluated on.")
    match: Match | Matching = Field(description="What a row is matched by, and what becomes of test examples without a row.")
    key: str | PromptAndReference = Field(description="Template of that; templates, if a row is matched by a reference too.")
    prediction: str = Field(description="Template of the answer.")
    subset: int | None = Field(description="How many test examples are evaluated; None: all.")

    @property
    def matching(self) -> tuple[Match, bool]:
        """What a row is matched by, and whether examples without a row get an empty answer."""
        return (self.match.by, True) if isinstance(self.match, Matching) else (self.match, False)


class Answer(NamedTuple):
    """A row of a file of predictions."""

    where: str
    key: str
    """The id or the prompt of the test example that it answers."""
    text: str
    reference: str | None = None
    """A reference of this test example, if the file has it."""


def read_answers(rows: Iterable[Row], key: str | PromptAndReference, prediction: str) -> Iterator[Answer]:
    """The answers in rows of raw data.

    Args:
        key: template of what a row is matched by, or two templates.
        prediction: template of the answer.

    Raises:
        UserError: naming the place of a row that a template does not fit.
    """
    template, reference = (key, None) if isinstance(key, str) else (key.prompt, key.reference)
    for where, raw in rows:
        row = plain(raw)
        # What is null was not answered.
        of_row = None if reference is None else _fill(where, reference, row)
        yield Answer(where, _fill(where, template, row).strip(), trim(_fill(where, prediction, row)), of_row)


def _fill(where: str, template: str, row: Mapping[str, Any]) -> str:
    try:
        return fill_from_row(template, row).text
    except UserError as error:
        raise UserError(f"{where}: the template '{template}' fails: {error}") from None


def normalise(text: str) -> str:
    """Text in one form, with single spaces: as rows and test examples are compared."""
    return normalise_space(one_form(text))


def keys_of(example: Example, match: Match) -> set[str]:
    """The texts that a row may name to answer this example: its id; or its whole question or its input, normalised."""
    if match == "id":
        return {example.id}
    return {normalise(text) for text in (question(example), example.input) if text}


class Matched(NamedTuple):
    """The answers in a file, and whose they are."""

    answers: list[Answer]
    """The answer to each evaluated example, in order."""
    ignored: list[Answer]
    """Answers to other test examples, and further rows with the same prompt and answer."""
    in_order: int
    """How many of the answers are told from others to the same question by their order alone."""
    missing: list[str]
    """The ids of the evaluated examples that have no row, and get an empty answer."""


def match_answers(
    path: str,
    answers: Iterable[Answer],
    test: Sequence[Example],
    evaluated: Sequence[Example],
    match: Match,
    missing_are_empty: bool = False,
    setting: str = "missing",
) -> Matched:
    """Find the answer to each evaluated example.

    Test examples may ask the same question. Then a reference in the row tells them apart. Without it, their rows are in their
    order.

    Args:
        path: the file that the answers come from, for messages.
        test: all test examples.
        evaluated: the test examples that are predicted.
        missing_are_empty: whether examples without a row get an empty answer.
        setting: the key of the configuration that says so, for messages.

    Raises:
        UserError: one sentence each on evaluated examples without an answer, examples with several answers, and answers that
            belong to no example, or to more than one.
    """
    by_id, wanted = {example.id: example for example in test}, {example.id for example in evaluated}
    rows_of: dict[tuple[str, ...], list[Answer]] = {}
    for answer, fitting in _fitting(answers, test, match):
        rows_of.setdefault(fitting, []).append(answer)
    answer_of: dict[str, Answer] = {}
    ignored: list[Answer] = []
    repeated: list[Answer] = []
    ambiguous: list[Answer] = []
    in_order, surplus = 0, rows_of.pop((), [])
    # Rows that can answer one example alone leave the others to the rest.
    for fitting, rows in sorted(rows_of.items(), key=lambda group: len(group[0])):
        free = [id_ for id_ in fitting if id_ not in answer_of]
        own = [id_ for id_ in free if id_ in wanted]
        # Nothing tells which of several examples that ask the same has no row.
        some_are_missing = missing_are_empty and len(rows) < len(own) and len(fitting) > 1
        if some_are_missing or len({normalise(question(by_id[id_])) for id_ in fitting}) > 1 or len(own) < len(rows) < len(free):
            ambiguous += rows
            continue
        # A file has rows for all test examples, or for those that are evaluated.
        places = own if len(rows) == len(own) else free
        answer_of |= dict(zip(places, rows, strict=False))
        ignored += [row for id_, row in zip(places, rows, strict=False) if id_ not in wanted]
        # A test example that came twice in its source was kept once; its rows say the same.
        is_harmless = match == "prompt" and len({row.text for row in rows}) == 1
        (ignored if is_harmless or not wanted.intersection(fitting) else repeated).extend(rows[len(places) :])
        in_order += sum(id_ in wanted for id_ in places[: len(rows)]) if len(places) > 1 else 0
    missing = [example.id for example in evaluated if example.id not in answer_of]
    by_what = f"{match} and reference" if any(row.reference for row in surplus) else match
    problems = []
    if missing and not missing_are_empty:
        hint = f"give them rows, or set {setting}: empty, which counts them as empty answers"
        problems.append(f"{len(missing)} of {len(evaluated)} evaluated test examples have no row: {some_of(missing)}; {hint}")
    if len(missing) == len(evaluated) and missing_are_empty:
        problems.append(f"none of the {len(evaluated)} evaluated test examples has a row; see how rows are matched")
    for rows, what in (
        (repeated, "of an evaluated test example that another row answers already"),
        (surplus, f"that belong to no test example by their {by_what}"),
        (ambiguous, f"that belong to several test examples by their {match}"),
    ):
        if rows:
            problems.append(f"rows {what} ({len(rows)}): {some_of(row.where.removeprefix(f'{path}, ') for row in rows)}")
    if problems:
        raise UserError("\n".join(f"{path}: {problem}." for problem in problems))
    empty = {id_: Answer("", _key_of(by_id[id_], match), "") for id_ in missing}
    return Matched([(answer_of | empty)[example.id] for example in evaluated], ignored, in_order, missing)


def _key_of(example: Example, match: Match) -> str:
    return example.id if match == "id" else question(example)


def _fitting(answers: Iterable[Answer], test: Sequence[Example], match: Match) -> Iterator[tuple[Answer, tuple[str, ...]]]:
    """Each answer with the ids of the test examples that it can belong to."""
    examples: dict[str, dict[str, Example]] = {}
    for example in test:
        for key in keys_of(example, match):
            examples.setdefault(key, {})[example.id] = example
    for answer in answers:
        fitting = examples.get(normalise(answer.key), {})
        if own := normalise(answer.reference or ""):
            fitting = {id_: one for id_, one in fitting.items() if own in map(normalise, one.references)}
        yield answer, tuple(fitting)


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
    match, missing_are_empty = settings.matching
    setting = f"external_predictions.{settings.axes['run']}.missing"
    answers, ignored, in_order, missing = match_answers(file, rows, tests, evaluated, match, missing_are_empty, setting)
    if ignored:
        why = f"they answer test examples outside the subset of {len(evaluated)}, or repeat a row"
        log.info("%d rows ignored: %s", len(ignored), why)
    if in_order:
        log.info("%d rows matched by their order: other test examples ask the same question", in_order)
    if missing:
        log.info(
            "%d of %d test examples have no row and count as empty answers: %s", len(missing), len(evaluated), ", ".join(missing)
        )
    pairs = zip(evaluated, answers, strict=True)
    records = [external_prediction(settings.axes, *pair, match) for pair in pairs]
    write_records(predictions, records)
    templates = {match: settings.key} if isinstance(settings.key, str) else settings.key.model_dump()
    write_json(
        manifest,
        {
            "axes": settings.axes,
            "file": file,
            "match": match,
            "templates": templates | {"prediction": settings.prediction},
            "subset": settings.subset,
            "stage_version": settings.version,
            "mended": MENDED,
            "fingerprints": {"file": file_sha256(file), "test": file_sha256(test)},
            "sha256": {"predictions": file_sha256(predictions)},
            "examples": len(evaluated),
            "ignored": len(ignored),
            **({"matched_by_order": in_order} if in_order else {}),
            **({"missing": missing} if missing else {}),
            **count_thoughts(records),
            "git_commit": git_commit(),
            "versions": versions(),
        },
    )
