"""A first experiment as a file with comments, and as a few lines on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from loragrid.planning.first_steps.drafts import SAMPLE_TYPE, Draft, quoted
from loragrid.text.words import shortened

WIDTH = 130

CALLED = {
    "label": "a label",
    "labels": "several labels",
    "number": "a number",
    "short text": "a short text",
    "text": "a text",
}


def commands(path: Path) -> dict[str, str]:
    """What to type next, with what it does."""
    file = f"--cores 4 --configfile {path.as_posix()}"
    return {
        f"snakemake plan {file}": "see what it will take",
        f"snakemake {file}": "run it, to the report",
    }


def as_yaml(draft: Draft, path: Path) -> str:
    """The file of an experiment. Comments say what was guessed, and why."""
    return "\n".join(_lines(draft, path)) + "\n"


def _lines(draft: Draft, path: Path) -> Iterator[str]:
    sections = draft.sections
    depth = "../" * len(path.parent.parts)
    yield f"# yaml-language-server: $schema={depth}workflow/schemas/config.schema.json"
    yield "#"
    yield f"# {_rows(draft)} of {_comment(draft.table.path)}: {CALLED[draft.kind.name]} for each input."
    yield "# It runs as it is. What was guessed says so, and why: edit what is wrong."
    yield "#"
    for command, why in commands(path).items():
        yield f"#     {command}    # {why}"
    yield "#"
    yield "# It is laid over config/config.yaml: mappings are merged, lists replaced. Every key: docs/configuration.md."
    yield ""
    yield f"experiment: {_flow(draft.name)}  # tables and report: results/experiments/{draft.name}/"
    yield ""
    yield "models:"
    yield "  # Small enough for a laptop, and no hub is needed. For a better one, name it here and in the grid."
    yield from _entries(sections["models"])
    yield ""
    yield from _of_source(draft)
    yield ""
    yield from _of_task(draft)
    yield ""
    yield "mixes:"
    yield from _entries(sections["mixes"])
    yield ""
    yield "configs:"
    yield from _entries(sections["configs"])
    yield ""
    yield "scorers:"
    yield from _entries(sections["scorers"])
    yield ""
    yield from _of_grid(draft)
    if "selection" in sections:
        yield ""
        yield "selection: null  # that of config/config.yaml is about other data"
    yield ""
    yield "report:"
    for key, value in sections["report"].items():
        yield f"  {key}: {_flow(value)}"


def _of_source(draft: Draft) -> Iterator[str]:
    columns, source = draft.columns, draft.sections["sources"][draft.name]
    yield "sources:"
    yield f"  {_flow(draft.name)}:"
    yield f"    splits: {{all: {{path: {_flow(draft.table.path)}}}}}"
    counts = draft.examples
    yield f"    # {counts['train']} examples to train on, {counts['validation']} for validation, {counts['test']} for the test."
    if draft.shares.exact:
        yield "    # `exact` cuts exactly these shares. If rows will be added, leave it out: then no row moves to another part."
    if columns.group:
        yield f"    # Guessed: rows with the same '{_comment(columns.group)}' belong together, and stay in one part:"
        yield f"    # {columns.why[columns.group]}."
    yield f"    split: {_flow(source['split'])}"


def _of_task(draft: Draft) -> Iterator[str]:
    columns, task, each = draft.columns, draft.sections["tasks"][draft.name], CALLED[draft.kind.name]
    yield "tasks:"
    yield f"  {_flow(draft.name)}:"
    yield f"    source: {_flow(draft.name)}"
    if columns.instruction:
        yield f"    # Guessed: the column '{_comment(columns.instruction)}' ({columns.why[columns.instruction]})."
    else:
        yield "    # Made up from the columns' names. Say in your own words what the model is to do."
    yield f"    instruction: {quoted(task['instruction'])}"
    if columns.inputs:
        named = ", ".join(f"'{_comment(column)}' ({columns.why[column]})" for column in columns.inputs)
        yield f"    # Guessed: the column{'s' if len(columns.inputs) > 1 else ''} {named}."
        yield f"    input: {quoted(task['input'])}"
    if columns.group:
        yield f"    metadata: {_flow(task['metadata'])}  # for the statistics: rows of one group are not independent"
    yield "    sample_types:"
    yield f"      # Guessed: the column '{_comment(columns.output)}' ({columns.why[columns.output]})."
    [(key, template)] = task["sample_types"][SAMPLE_TYPE].items()
    yield f"      {SAMPLE_TYPE}: {{{key}: {quoted(template)}}}"
    if columns.others:
        unused = ", ".join(f"'{_comment(column)}' ({reason})" for column, reason in columns.others.items())
        yield f"    # Not used: {unused}."
    yield f"    # Guessed: each output is {each} ({_comment(draft.kind.why)})."
    yield f"    scorers: {_flow(task['scorers'])}"
    yield f"    max_new_tokens: {task['max_new_tokens']}  # the outputs have fewer, as far as their lengths tell"
    if "subset" in task:
        yield f"    subset: {task['subset']}  # of the {draft.examples['test']} test examples, to be quick; null: all"


def _of_grid(draft: Draft) -> Iterator[str]:
    [block] = draft.sections["grid"]
    yield "grid:"
    for i, (axis, values) in enumerate(block.items()):
        note = ""
        if axis == "nb_samples" and draft.larger:
            note = f"  # there is enough to train on for {', '.join(map(str, draft.larger))} too; that takes longer"
        if axis == "seeds":
            note = "  # [1, 2, 3] shows how much chance there is in a training"
        yield f"  {'-' if not i else ' '} {axis}: {_flow(values)}{note}"


def _rows(draft: Draft) -> str:
    return f"{'' if draft.table.is_whole else 'The first '}{len(draft.table.rows)} rows"


def _comment(text: str) -> str:
    """A text within a line of comment."""
    return shortened("".join(sign if sign.isprintable() else " " for sign in text), 200)


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        plain = yaml.safe_dump([value], default_flow_style=True, width=10**9, allow_unicode=True).strip()[1:-1]
        return value if plain == value and not set(value) & set("{}[]#,:'\"") else quoted(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _entries(section: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The entries of a section, each key on its line; what is deeper, on one line."""
    for name, entry in section.items():
        yield f"  {_flow(name)}:"
        for key, value in entry.items():
            if isinstance(value, Mapping):
                yield f"    {key}:"
                yield from (f"      {inner}: {_flow(deep)}" for inner, deep in value.items())
            else:
                yield f"    {key}: {_flow(value)}"


def on_screen(draft: Draft, path: Path) -> str:
    """What was guessed, in a few lines, and what to type next."""
    columns, task = draft.columns, draft.sections["tasks"][draft.name]
    [block] = draft.sections["grid"]
    said = {
        "instruction": f"{columns.instruction} ({columns.why[columns.instruction]})"
        if columns.instruction
        else task["instruction"],
        "input": ", ".join(f"{column} ({columns.why[column]})" for column in columns.inputs),
        "output": f"{columns.output} ({columns.why[columns.output]}): {CALLED[draft.kind.name]} ({draft.kind.why})",
        "group": f"{columns.group} ({columns.why[columns.group]})" if columns.group else "",
        "not used": ", ".join(f"{column} ({reason})" for column, reason in columns.others.items()),
        "examples": "{train} to train on, {validation} for validation, {test} for the test".format_map(draft.examples),
        "nb_samples": ", ".join(map(str, block["nb_samples"])),
        "scorers": ", ".join(task["scorers"]),
    }
    lines = [f"  {what:<12} {shortened(text, WIDTH)}" for what, text in said.items() if text]
    next_ = [f"  {command}    # {why}" for command, why in commands(path).items()]
    first = (
        f"Wrote {path.as_posix()}, from {_rows(draft).lower()} of {draft.table.path}. What was guessed, and can be edited there:"
    )
    return "\n".join([first, *lines, "Next:", *next_])
