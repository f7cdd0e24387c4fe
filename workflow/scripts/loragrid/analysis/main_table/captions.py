"""What the caption of a part of the table says: what the figures are, what they rest on, what the marks mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from loragrid.analysis.main_table.cells import MISSING, Cell, Standing
from loragrid.analysis.main_table.parts import Key, Part
from loragrid.layout import USUAL
from loragrid.text.words import some_of

MOST_COLUMNS = 6
"""For more columns with different numbers of questions, only the least and the greatest number are told."""

_USUAL = dict(zip(("prompting", "prompt_variant", "decoding"), USUAL, strict=True))
_TESTED_ON = {"trained_task": "task", "trained_sample_type": "sample_type"}


class Marks(NamedTuple):
    """The signs that a format has for what is to be known of a cell."""

    best: str
    """What the best of a column is marked by, in words or as a sign."""
    equivalent: str
    undecided: str
    failed: str
    cut_off: str

    def of(self, cell: Cell) -> list[str]:
        """The signs behind a cell; the best has none here."""
        standings = {Standing.EQUIVALENT: self.equivalent, Standing.UNDECIDED: self.undecided}
        signs = [standings[cell.standing]] if cell.standing in standings else []
        return [*signs, *([self.failed] if cell.nb_failed else []), *([self.cut_off] if cell.nb_cut_off else [])]


def words(axis: str) -> str:
    """An axis as it is written for a reader."""
    return "training examples" if axis == "nb_samples" else axis.replace("_", " ")


def title(part: Part) -> str:
    """What the part is about."""
    named = [value if axis == "metric" else f"{words(axis)} {value}" for axis, value in part.fixed.items()]
    if "metric" not in part.fixed:
        named.insert(0, some_of(part.lower_is_better, most=3))
    return ", ".join(named)


def notes(part: Part, marks: Marks) -> list[str]:
    """The sentences of the caption behind the title."""
    cells = list(part.cells.values())
    return [
        f"Mean and 95 % interval over {_questions(part)}{_seeds(cells)}.",
        _directions(part.lower_is_better),
        *_standings(cells, marks),
        *_troubles(cells, marks),
        *([FORGOTTEN] if part.forgotten else []),
        *_constants(part.constant),
    ]


FORGOTTEN = (
    "forgotten: how much larger the loss of a token of general language is than with the base model, in nats, as a mean over the "
    "row's trainings."
)


def forgotten_head(part: Part) -> list[str]:
    """The heading of the column that says how much has been forgotten, if there is one."""
    return ["forgotten"] if part.forgotten else []


def forgotten_text(part: Part, row: Key) -> list[str]:
    """What that column says of a row."""
    if not part.forgotten:
        return []
    if row not in part.forgotten:
        return [MISSING]
    text = f"{part.forgotten[row]:+.3f}"
    # No figure is more or less than nothing by rounding.
    return [text.lstrip("+-") if float(text) == 0 else text]


def _questions(part: Part) -> str:
    """How many test questions the figures rest on, and in how many clusters."""
    cells = part.cells.values()
    by_column = {column: {cell.n for (_, at), cell in part.cells.items() if at == column} for column in part.columns}
    is_by_column = all(len(numbers) == 1 for numbers in by_column.values()) and len(by_column) <= MOST_COLUMNS
    if len({cell.n for cell in cells}) > 1 and is_by_column:
        each = (f"{next(iter(numbers))} ({', '.join(column)})" for column, numbers in by_column.items())
        return f"test questions: n = {', '.join(each)}"
    clusters = _range(cell.clusters for cell in cells if 0 < cell.clusters < cell.n)
    return f"n = {_range(cell.n for cell in cells)} test questions{f' in {clusters} clusters' if clusters else ''}"


def _seeds(cells: Iterable[Cell]) -> str:
    """Over how many training seeds, and what one seed means."""
    seeds = [cell.seeds for cell in cells if cell.is_trained]
    if not seeds:
        return ""
    if max(seeds) == 1:
        return "; one training seed: figures of fine-tuned models are about this one training each"
    return f" and {_range(seeds)} training seeds"


def _range(numbers: Iterable[int]) -> str:
    found = set(numbers)
    if not found:
        return ""
    least, most = min(found), max(found)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _directions(lower_is_better: Mapping[str, bool]) -> str:
    low = [metric for metric, is_low in lower_is_better.items() if is_low]
    if len(low) == len(lower_is_better):
        return "Lower is better."
    return f"Lower is better for {', '.join(low)}; higher for all else." if low else "Higher is better."


def _standings(cells: Iterable[Cell], marks: Marks) -> list[str]:
    """What the marks of the best and of what is as good, or may be, mean."""
    found = {cell.standing for cell in cells}
    said = []
    if Standing.BEST in found:
        said.append(f"{marks.best}: the best way on its test set.")
    if Standing.EQUIVALENT in found:
        said.append(f"{marks.equivalent}: equivalent to it, by the smallest difference that matters.")
    if Standing.UNDECIDED in found:
        said.append(
            f"{marks.undecided}: not told apart from it (differences on the same questions, at 95 % for all of a test set "
            "together), which does not mean equal."
        )
    return said


def _troubles(cells: Iterable[Cell], marks: Marks) -> list[str]:
    """What the marks of failures and of cut-off answers mean."""
    cells = list(cells)
    failed, cut_off = (max((getattr(cell, name) for cell in cells), default=0) for name in ("nb_failed", "nb_cut_off"))
    said = []
    if failed:
        said.append(f"{marks.failed}: with failed scores (up to {failed:,}), which count as the worst value where there is one.")
    if cut_off:
        said.append(f"{marks.cut_off}: with answers cut off at the length limit (up to {cut_off:,}).")
    return said


def _constants(constant: Mapping[str, str]) -> list[str]:
    """What is the same in the whole table, unless it goes without saying."""
    told = {
        axis: value
        for axis, value in constant.items()
        if value not in (_USUAL.get(axis), constant.get(_TESTED_ON.get(axis, ""))) and axis != "trained_task"
    }
    listed = ", ".join(f"{words(axis)} {value}" for axis, value in told.items())
    return [f"In all: {listed}."] if listed else []
