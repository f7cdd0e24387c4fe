"""Tokenised data: made once for each tokenizer and data set, shared by all mixes and runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from loragrid.data.learnt_turns import Spans, earlier_answers
from loragrid.data.render import ModelSettings, Rendered, Renderer, render, tell_changes, tell_spelled, zero_shot
from loragrid.errors import DamagedError, UserError
from loragrid.records import Example
from loragrid.runtime.files import written_whole
from loragrid.runtime.job import MENDED, log
from loragrid.sections import StageSettings
from loragrid.text.words import shortened

if TYPE_CHECKING:
    import pyarrow as pa

UNLIMITED = 2**62


class TokeniseSettings(StageSettings):
    """What a job that tokenises a data set is told."""

    model: ModelSettings = Field(description="How prompts are written for the base model.")


class Tokenised(NamedTuple):
    """Prompt and first reference of an example, uncut."""

    prompt_ids: list[int]
    answer_ids: list[int]
    """With the end-of-turn token."""
    earlier: Spans | None = None
    """In a conversation: where its earlier answers stand in the prompt; None if that is not known."""


EARLIER = "earlier_answers"
"""The column with the spans of earlier answers, in a data set with conversations of several turns."""


def schema() -> pa.Schema:
    """The columns of every tokenised data set."""
    import pyarrow as pa

    ids = pa.list_(pa.int32())
    return pa.schema(
        [("id", pa.string()), ("split", pa.string()), ("prompt_ids", ids), ("answer_ids", ids), ("input_tokens", pa.int32())]
    )


def tokenise(renderer: Renderer, splits: Mapping[str, Sequence[Example]]) -> pa.Table:
    """The token ids of every prompt of every example in its zero-shot form, as a table with the columns of `schema()`.

    Conversations with earlier answers have a column more, for the places of these: null where the template does not tell them.
    """
    import pyarrow as pa

    rows, prompts, spans, columns = [], [], [], schema()
    for split, examples in splits.items():
        # Where several answers share one reference, a prompt alone has nothing to learn.
        for example in (part for e in examples if e.answers != "joined" for part in e.parts):
            try:
                rendered = render(renderer, zero_shot(example), example.references[0], UNLIMITED)
            except UserError as error:
                raise UserError(f"{split}, example {example.id}: {error}") from None
            assert rendered is not None
            input_tokens = len(renderer.tokenizer(example.input, add_special_tokens=False).input_ids)
            prompts.append(rendered)
            spans.append(_earlier(renderer, example, rendered))
            rows.append((example.id, split, rendered.prompt_ids, rendered.answer_ids, input_tokens))
    tell_spelled(renderer, prompts)
    tell_changes(prompts)
    table = pa.Table.from_pylist([dict(zip(columns.names, row, strict=True)) for row in rows], schema=columns)
    if all(one == [] for one in spans):
        return table
    if untold := [one for one in spans if isinstance(one, str)]:
        log.info("the earlier answers of %d of %d conversations cannot be learnt: %s", len(untold), len(spans), untold[0])
    places = [None if isinstance(one, str) else one for one in spans]
    return table.append_column(EARLIER, pa.array(places, pa.list_(pa.list_(pa.int32()))))


def _earlier(renderer: Renderer, example: Example, rendered: Rendered) -> Spans | str:
    """Where the earlier answers of a conversation stand in its prompt, or why that is not known."""
    try:
        return earlier_answers(renderer, zero_shot(example), rendered.prompt_ids)
    except UserError as error:
        return str(error)


def write_tokens(path: str | Path, table: pa.Table) -> None:
    """Write a tokenised data set, whole or not at all."""
    import pyarrow.parquet as pq

    with written_whole(path) as temporary:
        pq.write_table(table.replace_schema_metadata({"mended": str(MENDED)}), temporary, write_page_checksum=True)


def read_token_table(path: str | Path, columns: list[str] | None = None, filters: Any = None, more: str = "") -> pa.Table:
    """Columns of a tokenised data set.

    Args:
        filters: as in pyarrow.
        more: a further column, if it is there.

    Raises:
        DamagedError: naming the file, if it is cut off or other bytes are in it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if columns and more and more in pq.ParquetFile(path).schema_arrow.names:
            columns = [*columns, more]
        return pq.read_table(path, columns=columns, filters=filters, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        # pyarrow puts the path in front.
        said = shortened(str(error).rpartition("': ")[2], 160)
        raise DamagedError(path, f"no tokenised data set can be read from it ({said})") from None


def read_tokens(paths: Iterable[str | Path], wanted: set[str]) -> dict[str, list[Tokenised]]:
    """The prompts of the wanted examples of tokenised data sets, by the example's id."""
    found: defaultdict[str, list[Tokenised]] = defaultdict(list)
    for path in paths:
        table = read_token_table(path, ["id", "prompt_ids", "answer_ids"], [("id", "in", wanted)], EARLIER)
        for row in table.to_pylist():
            found[row["id"]].append(Tokenised(row["prompt_ids"], row["answer_ids"], row.get(EARLIER)))
    return dict(found)
