"""The answers of the report: in the page, or one file for each task beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from loragrid.analysis.page.packed import packed
from loragrid.analysis.page.tables import Payload
from loragrid.analysis.settings import ReportContents
from loragrid.layout import ANSWERS_FOLDER
from loragrid.runtime.files import written_whole
from loragrid.runtime.job import log

LARGE = 20_000_000
"""Bytes of answers in the page, above which it opens slowly."""


class Embedded(NamedTuple):
    """What became of the answers."""

    inline: list[tuple[str, str]]
    """The parts that stand in the page, each with its id."""
    payload: Payload


def embed_answers(parts: Iterable[tuple[str, Payload]], contents: ReportContents, page: Path) -> Embedded:
    """Put the answers of all tasks where the page finds them.

    Args:
        parts: for each task its name and its answers.
        page: the page's file. Files of answers are written into the folder beside it.
    """
    inline: list[tuple[str, str]] = []
    told: list[Payload] = []
    for task, answers in parts:
        text = packed(answers)
        part = {
            "id": task,
            "task": task,
            "questions": len(answers["questions"]),
            "answers": len(answers["answers"]["model"]),
            "bytes": len(text),
            "file": None,
        }
        if contents.answers_in == "folder":
            part["file"] = f"{ANSWERS_FOLDER}/{task}.js"
            write_part(page.with_name(ANSWERS_FOLDER) / f"{task}.js", task, text)
        else:
            inline.append((task, text))
        told.append(part)
    note = _note(told, contents)
    log.info("%s", note)
    size = sum(len(text) for _, text in inline)
    if size > LARGE:
        log.warning("the report opens slowly: set report.answers_in to folder, or report.embed to sample")
    return Embedded(inline, {"embed": contents.embed, "note": note, "parts": told})


def write_part(path: Path, id: str, text: str) -> None:
    """Write answers as a script, which a page may load also where there is no server."""
    with written_whole(path) as temporary:
        temporary.write_text(f'loragridAnswers("{id}","{text}");\n', encoding="ascii")


def _note(parts: list[Payload], contents: ReportContents) -> str:
    """What is there, in a sentence."""
    if contents.embed == "none":
        return "This report holds no answers (report.embed is none)."
    answers, size = sum(part["answers"] for part in parts), sum(part["bytes"] for part in parts)
    where = f"in the folder {ANSWERS_FOLDER} beside this page" if contents.answers_in == "folder" else "in this page"
    which = "All"
    if contents.embed == "sample":
        which = f"Those to {contents.examples} questions of each data set, chosen by a hash of the question:"
    return f"{which} {answers:,} answers are {where} ({in_megabytes(size)})."


def in_megabytes(size: int) -> str:
    """A size for a reader."""
    return f"{size / 1e6:.1f} MB"
