"""From what YAML gave to a checked configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from loragrid.config.messages import sentence_of
from loragrid.config.references import broken_references
from loragrid.config.root import Config
from loragrid.errors import UserError


def parse_config(raw: Mapping[str, Any]) -> Config:
    """Validate `raw`, as YAML gave it.

    Raises:
        UserError: with one sentence per problem, each naming the key and what was expected.
    """
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise UserError("\n".join(sentence_of(details) for details in error.errors())) from None
    except RecursionError:
        raise UserError("configuration: its values stand within each other too deeply.") from None
    if problems := list(broken_references(config)):
        raise UserError("\n".join(problems))
    return config
