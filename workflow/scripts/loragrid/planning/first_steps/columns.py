"""What the columns of a table are: guessed by their names, else by what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from loragrid.errors import UserError
from loragrid.planning.first_steps.tables import CONVERSATIONS, Table, as_name, is_structured, mean_length

INSTRUCTIONS = ("instruction", "instructions")
INPUTS = (
    "input", "inputs", "text", "texts", "sentence", "sentences", "sentence1", "sentence2", "premise", "hypothesis", "question",
    "query", "prompt", "context", "passage", "paragraph", "subject", "title", "headline", "abstract", "document", "article",
    "body", "content", "review", "review_text", "message", "letter", "email", "mail", "comment", "post", "tweet", "note",
    "utterance", "dialogue", "description", "word", "source",
)  # fmt: skip
OUTPUTS = (
    "output", "outputs", "target", "label_text", "label_name", "label", "labels", "answer", "answers", "response", "completion",
    "reply", "summary", "highlights", "reference", "references", "expected", "expected_output", "gold", "translation", "class",
    "category", "categories", "tag", "tags", "sentiment", "topic", "topics", "intent", "emotion", "verdict", "score", "rating",
    "stars", "grade", "result", "y",
)  # fmt: skip
"""Names in the order in which they are preferred."""

IDS = ("id", "ids", "idx", "index", "nr", "no", "row", "key", "uid", "uuid", "guid", "number", "unnamed_0")
GROUPS = (
    "group", "cluster", "patient", "customer", "client", "author", "user", "session", "conversation", "thread", "dialog",
    "family", "speaker",
)  # fmt: skip

LEAST_GROUPS, LARGEST_GROUP = 10, 0.2
"""Groups that splits can be cut from, and the share of rows that the largest may have."""

FEW, FEW_OF_ROWS = 5, 0.05
"""Distinct values, also as a share of the rows, up to which a text says of what sort a row is, and not what it asks."""


class Columns(NamedTuple):
    """Which column is what, and why."""

    instruction: str | None
    inputs: list[str]
    output: str
    group: str | None
    """Rows with the same value belong together."""
    others: dict[str, str]
    """Columns that are not used, with the reason."""
    why: dict[str, str]
    """The reason for each column that is used."""


def guess_columns(table: Table) -> Columns:
    """Which columns ask, which answers, and which says what belongs together.

    Raises:
        UserError: if no column can be the input or the output.
    """
    values = {column: table.values(column) for column in table.columns}
    others = {column: "empty" for column in table.columns if not values[column]}
    others |= {column: "its values have parts" for column in table.columns if is_structured(values[column])}
    identifying = [column for column in table.columns if column not in others and _is_identifying(column, values[column])]
    group = _coarsest({column: values[column] for column in identifying if _can_group(values[column], len(table.rows))})
    others |= {column: "an id" for column in identifying if column != group}
    free = [column for column in table.columns if column not in others and column != group]
    _refuse_odd_output(table, values, others)

    output = _named(free, OUTPUTS)
    instruction = _named([column for column in free if column != output], INSTRUCTIONS)
    free = [column for column in free if column not in (output, instruction)]
    inputs = _inputs(table, values, free)
    why = dict.fromkeys([column for column in (instruction, output, *inputs) if column], "by its name")
    texts = [column for column in free if not any(isinstance(value, list) for value in values[column])]
    if not inputs and not instruction and len(texts) > (output is None):
        inputs = [max(texts, key=lambda column: mean_length(values[column]))]
        why[inputs[0]] = "it has the longest texts"
    if output is None and (left := [column for column in free if column not in inputs]):
        output = left[-1]
        why[output] = "the last column that is nothing else"
    if output is None or not (inputs or instruction):
        known = " and ".join(f"'{column}'" for column in (instruction, *inputs, output) if column) or "nothing"
        left_out = "; ".join(f"'{column}': {reason}" for column, reason in others.items())
        hint = f" {CONVERSATIONS}" if any(is_structured(of_one) for of_one in values.values()) else ""
        raise UserError(
            f"{table.path}: found no column for the {'input' if output else 'output'} beside {known}"
            f"{f' ({left_out})' if left_out else ''}; call them 'input' and 'output'.{hint}"
        )
    used = [column for column in (instruction, *inputs, output, group) if column]
    others |= dict.fromkeys([column for column in table.columns if column not in others and column not in used], "not needed")
    if group:
        why[group] = f"an id with {len(set(map(str, values[group])))} values in {len(values[group])} rows"
    return Columns(instruction, inputs, output, group, {one: others[one] for one in table.columns if one in others}, why)


def _refuse_odd_output(table: Table, values: Mapping[str, Sequence[Any]], unusable: Mapping[str, str]) -> None:
    """Raise a UserError if the column that is the output by its name cannot be one."""
    output = _named(table.columns, OUTPUTS)
    if output is None or output not in unusable:
        return
    what = f"{table.path}: the column '{output}', which is the output by its name,"
    if not values[output]:
        raise UserError(f"{what} is empty in all {len(table.rows)} rows; expected what is to be answered there.")
    if is_structured(values[output]):
        single = (part for value in values[output] for part in (value if isinstance(value, list) else [value]))
        parts = ", ".join(next((map(str, part) for part in single if isinstance(part, Mapping)), ["bytes"]))
        raise UserError(
            f"{what} has values with parts ({parts}); expected text: put what is to be answered into a column of its own."
        )


def _named(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """The column with the name that comes first among some names."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(as_name(column), column)
    return next((by_name[name] for name in names if name in by_name), None)


def _inputs(table: Table, values: dict[str, list[Any]], free: Sequence[str]) -> list[str]:
    """The columns that ask by their names, in the order of the table."""
    named = [column for column in free if as_name(column) in INPUTS and not isinstance(values[column][0], list)]
    telling = [column for column in named if len(set(map(str, values[column]))) > max(FEW, FEW_OF_ROWS * len(table.rows))]
    return telling or named[:1]


def _is_identifying(column: str, values: Sequence[Any]) -> bool:
    name = as_name(column)
    if name in IDS or name in GROUPS or name.endswith(("_id", "_uid", "_uuid", "_key")):
        return not any(isinstance(value, list | float) for value in values)
    numbers = [int(value) for value in values if isinstance(value, int) or (isinstance(value, str) and value.isdecimal())]
    counted = len(numbers) == len(values) > 2 and numbers == [*range(numbers[0], numbers[0] + len(numbers))]
    return counted and name not in (*INPUTS, *OUTPUTS)


def _can_group(values: Sequence[Any], nb_rows: int) -> bool:
    """Whether the values of a column repeat, and splits can be cut by them."""
    counts = Counter(map(str, values))
    return len(values) == nb_rows and LEAST_GROUPS <= len(counts) < nb_rows and max(counts.values()) <= LARGEST_GROUP * nb_rows


def _coarsest(candidates: dict[str, list[Any]]) -> str | None:
    return min(candidates, key=lambda column: len(set(map(str, candidates[column]))), default=None)
