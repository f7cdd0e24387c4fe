"""The JSON schema of the configuration and the references in docs/, generated from the classes: `make schema`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loragrid import layout
from loragrid.config.root import Config
from loragrid.records import Example, Export, Likelihood, Prediction, Probe, ProbedPassage, Record, Score, Turn
from loragrid.scoring.rubrics import Rubric
from loragrid.sections import MANY
from loragrid.training.swept_keys import VALUES

SCHEMA = Path("workflow/schemas/config.schema.json")


CONFIGURATION = Path("docs/configuration.md")


RECORDS = Path("docs/records.md")


def schema_text() -> str:
    """The JSON schema, as text of its file."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "loragrid configuration"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def configuration_text() -> str:
    """The reference of all configuration keys, as Markdown."""
    schema = Config.model_json_schema()
    rubric = Rubric.model_json_schema()
    definitions = schema.pop("$defs") | {"Rubric": rubric} | rubric.pop("$defs")
    lines = [
        "# Configuration",
        "",
        "Every key of `config/config.yaml`. Editors that know `# yaml-language-server` headers complete and check keys. A key",
        "that is not listed here is an error, and so is a value outside its limits: nothing is started.",
        "",
        "Names of models, tasks and so on consist of letters and digits, with single `.`, `_` or `-` between them: they become",
        "folder names.",
        "",
        "A second file is laid over the default with `snakemake --cores 4 --configfile FILE`: mappings are merged, lists are "
        "replaced.",
        "",
        "A [rubric](#rubric) of a judge is a file of its own under `data/prompts/judges/`.",
    ]
    for name, definition in [("the file", schema), *definitions.items()]:
        lines += ["", f"## {name}", "", *definition["description"].splitlines(), "", *key_table(definition, definitions)]
    return "\n".join(lines) + "\n"


def records_text() -> str:
    """The reference of all records, as Markdown."""
    records: tuple[tuple[type[Record], str], ...] = (
        (Example, f"{_of_reader(layout.PREPARE_DATASET, 'test')} and {_of_reader(layout.MAKE_MIX, 'train')}"),
        (Turn, _of_reader(layout.PREPARE_DATASET, "test")),
        (Prediction, _of_reader(layout.PREDICT, "predictions")),
        (Likelihood, _of_reader(layout.MEASURE_LIKELIHOODS, "likelihoods")),
        (Score, _of_reader(layout.SCORE, "scores")),
        (Export, _of_reader(layout.EXPORT, "jsonl")),
        (Probe, _of_reader(layout.PROBE, "probe")),
        (ProbedPassage, _of_reader(layout.PROBE, "probe")),
    )
    lines = ["# Records", "", "One JSON object per line. All records are checked when they are written and when they are read."]
    for record, files in records:
        schema = record.model_json_schema()
        lines += ["", f"## {record.__name__}", "", f"{schema['description']} In `{files}`.", "", *key_table(schema, {})]
    return "\n".join(lines) + "\n"


def _of_reader(files: layout.Files, output: str) -> str:
    """A pattern as a reader writes it: with `<names>`, where a run's name may be `base` and a variant is rare."""
    pattern = files.outputs[output].replace("{variant}", "").replace("{run}", "<run or base>")
    return re.sub(r"{(\w+)}", r"<\1>", re.sub(r"(train|test)\.jsonl$", "*.jsonl", pattern))


def key_table(definition: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    """A Markdown table of the keys of one section."""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    required = definition.get("required", [])
    for key, value in definition["properties"].items():
        default = "required" if key in required else f"`{json.dumps(_said(value.get('default')))}`"
        described = value if "description" in value else definitions[value["$ref"].rpartition("/")[2]]
        meaning = described["description"].replace("|", "\\|")
        yield f"| `{key}` | {'; '.join(types(value))} | {default} | {meaning} |"
    if isinstance(others := definition.get("additionalProperties"), dict):
        yield f"| any other key | {'; '.join(types(others))} | | see above |"


def _said(default: Any) -> Any:
    """A default without its empty keys."""
    if not isinstance(default, dict):
        return default
    said = {key: _said(value) for key, value in default.items()}
    return {key: value for key, value in said.items() if value not in (None, {})}


def types(value: dict[str, Any]) -> Iterator[str]:
    """The types that a key may hold, in words."""
    if not value:
        yield "anything"
    elif "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        yield f"[{name}](#{name.lower()})"
    elif "anyOf" in value or "oneOf" in value:
        for option in value.get("anyOf") or value["oneOf"]:
            # That most hyper-parameters take several values is said once, in the description of sweeps.
            if option.get("title") != VALUES:
                yield from types(option)
    elif "enum" in value or "const" in value:
        yield " or ".join(f"`{item}`" for item in value.get("enum", [value.get("const")]))
    elif value["type"] == "array":
        yield "list of " + ", ".join(types(value["items"]))
    elif value["type"] == "object":
        of = value.get("additionalProperties") or next(iter(value["patternProperties"].values()))
        yield "mapping of name to " + ("anything" if of is True else " or ".join(types(of)))
    else:
        limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        # Limits that only slips go beyond would hide the others.
        told = {name: value[name] for name in limits if name in value and value[name] < MANY}
        yield value["type"] + "".join(f" {limits[name]} {limit}" for name, limit in told.items())


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    CONFIGURATION.write_text(configuration_text(), encoding="utf-8")
    RECORDS.write_text(records_text(), encoding="utf-8")
