"""The configuration's JSON schema and reference, generated from its classes: `make schema`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loragrid.config import Config

SCHEMA = Path("workflow/schemas/config.schema.json")
REFERENCE = Path("docs/configuration.md")


def schema_text() -> str:
    """The JSON schema, as the file holds it."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "loragrid configuration"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def reference_text() -> str:
    """The reference of all keys, as Markdown."""
    schema = Config.model_json_schema()
    definitions = schema.pop("$defs")
    lines = [
        "# Configuration",
        "",
        "Every key of `config/config.yaml`. Editors that know `# yaml-language-server` headers complete and check them. A key",
        "that is not listed here is an error, and so is a value outside its limits: nothing is started.",
        "",
        "Names of models, tasks and so on consist of letters and digits, with single `.`, `_` or `-` between them: they become",
        "folder names.",
        "",
        "A second file is laid over the default with `snakemake --configfile FILE`: mappings are merged, lists replaced.",
    ]
    for name, definition in [("the file", schema), *definitions.items()]:
        lines += ["", f"## {name}", "", *definition["description"].splitlines(), ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        required = definition.get("required", [])
        for key, value in definition["properties"].items():
            default = "required" if key in required else f"`{json.dumps(value.get('default'))}`"
            described = value if "description" in value else definitions[value["$ref"].rpartition("/")[2]]
            meaning = described["description"].replace("|", "\\|")
            lines.append(f"| `{key}` | {'; '.join(types(value))} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def types(value: dict[str, Any]) -> Iterator[str]:
    """What a key may hold, in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        yield f"[{name}](#{name.lower()})"
    elif "anyOf" in value or "oneOf" in value:
        for option in value.get("anyOf", value.get("oneOf")):
            yield from types(option)
    elif "enum" in value or "const" in value:
        yield " or ".join(f"`{item}`" for item in value.get("enum", [value.get("const")]))
    elif value["type"] == "array":
        yield "list of " + ", ".join(types(value["items"]))
    elif value["type"] == "object":
        of = value.get("additionalProperties") or next(iter(value["patternProperties"].values()))
        yield "mapping of name to " + " or ".join(types(of))
    else:
        limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        yield value["type"] + "".join(f" {sign} {value[name]}" for name, sign in limits.items() if name in value)


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    REFERENCE.write_text(reference_text(), encoding="utf-8")
