"""Raw data become examples: templates map fields, splits are kept apart, unusable rows are dropped and counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple

from loragrid.data.conversations import read_conversation, read_tools, transcript
from loragrid.data.near_duplicates import near_duplicate_finder
from loragrid.data.questions import normalise
from loragrid.data.rows import Row
from loragrid.data.shares import exact_groups
from loragrid.data.sources import DataSource, Division
from loragrid.data.tasks import Cleaning, DataSetFields
from loragrid.data.values import plain
from loragrid.errors import UserError
from loragrid.records import Example, content_hash
from loragrid.runtime.template_values import as_text
from loragrid.runtime.templates import MISSING, TEXT, Filled, evaluate_expression, fill_from_row, is_true
from loragrid.text.words import trim

SPLITS = ("train", "validation", "test")


class Drafted(NamedTuple):
    """An example before it belongs to a split."""

    example: Example
    group: str
    """Examples of the same group must stay in one split."""
    category: str
    missing: str | None = None
    """`null question` or `null output`, if the row has no more than null for it."""
    where: str = ""
    """Where its row stands, for messages."""


NO_QUESTION, NO_OUTPUT = "null question", "null output"


def map_row(row: Mapping[str, Any], fields: DataSetFields, task: str, sample_type: str) -> Example:
    """Fill the templates of `fields` with one row of raw data.

    Raises:
        UserError: naming the template's key and the fields that the row has, if a field is missing.
    """
    return _map_row(plain(row), fields, task, sample_type)[0]


def _map_row(row: Mapping[str, Any], fields: DataSetFields, task: str, sample_type: str) -> tuple[Example, str | None]:
    """The example of a row with plain values, and what the row has only null for, as in `Drafted`."""
    if fields.messages is not None:
        return _map_conversation(row, fields, task, sample_type)
    asked = {key: _fill(key, template, row) for key, template in (("instruction", fields.instruction), ("input", fields.input))}
    instruction, input_ = (filled.text.strip() for filled in asked.values())
    prompts = [] if fields.prompts is None else [text.strip() for text in _texts("prompts", fields.prompts, row).texts]
    output, notes = _output(fields, row)
    answers = fields.answers if prompts else "one"
    if answers == "each" and (isinstance(output, str) or len(output) != len(prompts)):
        found = 1 if isinstance(output, str) else len(output)
        raise UserError(f"there are {len(prompts)} prompts, but 'outputs' gives {found} references; expected one for each.")
    if answers != "each" and isinstance(output, list) and any(output):
        # An empty reference beside others says that somebody saw no answer. It must not make an empty answer a right one.
        output = [reference for reference in output if reference]
    if answers == "one" and isinstance(output, list):
        output = list(dict.fromkeys(output))
    example = Example(
        id=content_hash(task, sample_type, instruction, input_, *prompts, *([output] if isinstance(output, str) else output)),
        task=task,
        sample_type=sample_type,
        instruction=instruction,
        input=input_,
        output=output or "",
        metadata=_metadata(fields, row),
        prompts=prompts,
        answers=answers,
    )
    of_question = frozenset().union(*(filled.notes for filled in asked.values()), {TEXT} if any(prompts) else ())
    missing = NO_QUESTION if _is_missing(of_question) else NO_OUTPUT if _is_missing(notes) else None
    return example, missing


def _metadata(fields: DataSetFields, row: Mapping[str, Any]) -> dict[str, str]:
    return {key: _fill(f"metadata.{key}", text, row).text.strip() for key, text in (fields.metadata or {}).items()}


def _map_conversation(row: Mapping[str, Any], fields: DataSetFields, task: str, sample_type: str) -> tuple[Example, str | None]:
    """As `_map_row`, for a row with a conversation: its last turn is the reference."""
    assert fields.messages is not None
    empty = {"instruction": "", "input": "", "output": "", "messages": [], "tools": []}
    value = _value("messages", fields.messages, row)
    if value is not None:
        turns, answer = found = _read("messages", read_conversation, value)
        tools = [] if fields.tools is None else _read("tools", read_tools, _value("tools", fields.tools, row))
        empty |= {"instruction": found.system, "input": transcript(turns), "output": answer, "messages": turns, "tools": tools}
    example = Example(id="", task=task, sample_type=sample_type, metadata=_metadata(fields, row), **empty)
    id_ = content_hash(task, sample_type, *example.asked, *example.references)
    return example.model_copy(update={"id": id_}), NO_QUESTION if value is None else None


def _value(key: str, expression: str, row: Mapping[str, Any]) -> Any:
    try:
        return evaluate_expression(expression, row)
    except UserError as error:
        raise UserError(f"the expression of '{key}' fails: {error}") from None


def _read(key: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except UserError as error:
        raise UserError(f"'{key}': {error}") from None


def _output(fields: DataSetFields, row: Mapping[str, Any]) -> tuple[str | list[str], frozenset[str]]:
    """The references of a row, and the notes on their values."""
    if fields.outputs is None:
        filled = _fill("output", fields.output, row)
        return trim(filled.text), filled.notes
    texts, notes = _texts("outputs", fields.outputs, row)
    return [trim(text) for text in texts], notes


def _is_missing(notes: frozenset[str]) -> bool:
    """Whether a value is missing and no other gives text."""
    return MISSING in notes and TEXT not in notes


def _fill(key: str, template: str | None, row: Mapping[str, Any]) -> Filled:
    try:
        return fill_from_row(template or "", row)
    except UserError as error:
        raise UserError(f"the template of '{key}' fails: {error}") from None


class _Listed(NamedTuple):
    """The texts of an expression that gives a list."""

    texts: list[str]
    notes: frozenset[str]


def _texts(key: str, expression: str, row: Mapping[str, Any]) -> _Listed:
    try:
        value = evaluate_expression(expression, row)
        if isinstance(value, list | tuple | NoneType):
            texts = [as_text(item) for item in value or []]
    except UserError as error:
        raise UserError(f"the expression of '{key}' fails: {error}") from None
    if not isinstance(value, list | tuple | NoneType):
        raise UserError(f"the expression of '{key}' gives {value!r}; expected a list of texts.")
    notes = {MISSING: value is None or None in value, TEXT: any(text.strip() for text in texts)}
    return _Listed(texts, frozenset(note for note, met in notes.items() if met))


def draft(rows: Iterable[Row], fields: DataSetFields, source: DataSource, task: str, sample_type: str) -> Iterator[Drafted]:
    """Map rows to examples, except rows that the `where` of their source leaves out.

    Raises:
        UserError: naming the place of a bad row and the reason.
    """
    division = source.split
    for where, raw in rows:
        try:
            row = plain(raw)
            if source.where is not None and not _is_kept(source.where, row):
                continue
            example, missing = _map_row(row, fields, task, sample_type)
            group = prompt_key(example) if division.group is None else _fill("group", division.group, row).text.strip()
            yield Drafted(example, group, _fill("category", division.category, row).text.strip(), missing, where)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None


def _is_kept(expression: str, row: Mapping[str, Any]) -> bool:
    try:
        return is_true(expression, row)
    except UserError as error:
        raise UserError(f"the expression of 'where' fails: {error}") from None


def divide(drafted: Mapping[str, Sequence[Drafted]], division: Division) -> dict[str, list[Example]]:
    """Cut the missing splits from the rows of `all`, or else of `train`.

    Each group's place is the hash of the seed and the group, a number from 0 to 1: the lowest places are for test, the next for
    validation. With `test_per_task`, the test split takes instead that many groups of each category, by the lowest places. A new
    group with a lower place then takes the place of another; nothing else ever moves. With `exact`, the shares are cut exactly.

    Raises:
        UserError: if there is nothing to cut a test split from.
    """
    pool = pool_of(drafted)
    splits = {split: [d.example for d in drafted[split]] for split in ("validation", "test") if split in drafted}
    cut: dict[str, list[Example]] = {split: [] for split in SPLITS}
    places = {d.group: int(content_hash(str(division.seed), d.group), 16) / 16**16 for d in pool}
    tested = _lowest_places(pool, places, division.test_per_task) if division.test_per_task else set()
    shares = division.cut_shares(splits)
    if division.exact:
        free = [d.group for d in pool if d.group not in tested or "test" in splits]
        part_of = exact_groups(free, places, shares, len(pool))
    else:
        part_of = _groups_below(places, shares)
    for example, group, *_ in pool:
        is_tested = "test" not in splits and group in tested
        cut["test" if is_tested else part_of.get(group, "train")].append(example)
    return cut | splits


def pool_of(drafted: Mapping[str, Sequence[Drafted]]) -> Sequence[Drafted]:
    """The rows that missing splits are cut from."""
    return drafted.get("all", drafted.get("train", []))


def _groups_below(places: Mapping[str, float], shares: Mapping[str, float]) -> dict[str, str]:
    """The part of each group that belongs to one, by its place alone."""
    part_of: dict[str, str] = {}
    low = 0.0
    for part, share in shares.items():
        part_of |= {group: part for group, place in places.items() if low <= place < low + share}
        low += share
    return part_of


def _lowest_places(pool: Sequence[Drafted], places: Mapping[str, float], size: int) -> set[str]:
    """The `size` groups with the lowest places of each category."""
    by_category: defaultdict[str, set[str]] = defaultdict(set)
    for drafted in pool:
        by_category[drafted.category].add(drafted.group)
    return {group for groups in by_category.values() for group in sorted(groups, key=lambda g: (places[g], g))[:size]}


def prompt_key(example: Example) -> str:
    """The text by which two examples count as the same question: instruction, input and prompts, without white space and case."""
    return " ".join("\n".join([example.instruction, example.input, *example.prompts]).casefold().split())


def clean_splits(
    splits: Mapping[str, list[Example]],
    cleaning: Cleaning | None = None,
    nb_tokens: Callable[[str], int] | None = None,
    missing: Mapping[str, str] | None = None,
) -> tuple[dict[str, list[Example]], dict[str, dict[str, Collection[str]]]]:
    """Drop unusable examples, repeated ones, and questions that a later split asks too.

    The test split is settled first, then validation, then train: what is tested is never trained on.

    Args:
        cleaning: limits on the number of tokens, and the similarity at which questions count as the same.
        nb_tokens: measures a text in tokens; needed if there are limits.
        missing: what examples lack because their rows have only null for it, as in `Drafted`, by the example's id.

    Returns:
        The kept examples by split, and the ids of the dropped ones by split and reason. Those of near duplicates come with the id
        of the kept example that they are nearly the same as.
    """
    kept: dict[str, list[Example]] = {}
    dropped: dict[str, dict[str, Collection[str]]] = {}
    taken: dict[str, str] = {}
    threshold = cleaning.near_duplicates if cleaning else None
    every = [example for of_split in splits.values() for example in of_split]
    find_twin = near_duplicate_finder(threshold, every) if threshold else lambda example: None
    for split in reversed(SPLITS):
        reasons: defaultdict[str, list[str]] = defaultdict(list)
        twins: dict[str, str] = {}
        kept[split], seen = [], set()
        for example in splits[split]:
            elsewhere = taken.get(normalise(prompt_key(example)))
            if unusable := _unusable(example, (missing or {}).get(example.id), cleaning):
                reasons[unusable].append(example.id)
            elif example.id in seen:
                reasons["repeated"].append(example.id)
            elif elsewhere:
                reasons[f"same question in {elsewhere}"].append(example.id)
            elif cleaning and nb_tokens and (wrong := wrong_length(example, cleaning, nb_tokens)):
                reasons[wrong].append(example.id)
            elif twin := find_twin(example):
                seen.add(example.id)
                twins[example.id] = twin
            else:
                seen.add(example.id)
                kept[split].append(example)
        taken |= {normalise(prompt_key(example)): split for example in kept[split]}
        dropped[split] = dict(reasons) | ({"near duplicate": twins} if twins else {})
    return {split: kept[split] for split in SPLITS}, {split: dropped[split] for split in SPLITS}


def _unusable(example: Example, missing: str | None, cleaning: Cleaning | None) -> str | None:
    """Why an example can be neither learned nor tested; None if it can."""
    if missing == NO_QUESTION:
        return missing
    if any(example.references) or (cleaning and cleaning.keep_unanswerable):
        return None
    return missing or "empty output"


def wrong_length(example: Example, cleaning: Cleaning, nb_tokens: Callable[[str], int]) -> str | None:
    """`too short` or `too long`; None if an example keeps to the limits."""
    length = sum(map(nb_tokens, (example.instruction, example.input, *example.prompts, example.references[0])))
    if length < cleaning.min_tokens:
        return "too short"
    return "too long" if cleaning.max_tokens is not None and length > cleaning.max_tokens else None


def by_hash(examples: Iterable[Example]) -> list[Example]:
    """The examples, ordered by the hashes of their questions. The order is the same for all sample types."""
    return sorted(examples, key=lambda example: (content_hash(prompt_key(example)), example.id))


def subset(examples: Iterable[Example], size: int | None) -> list[Example]:
    """The `size` examples with the smallest hash of their question, in the data's order; all of them if size is None.

    The choice depends on the question alone: all models and sample types meet the same questions, and a larger subset
    contains a smaller one.
    """
    examples = list(examples)
    if size is None or size >= len(examples):
        return examples
    chosen = {e.id for e in by_hash(examples)[:size]}
    return [example for example in examples if example.id in chosen]
