"""How likely servers find given texts: what they are asked, and what they reply."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from loragrid.inference.protocol import GivenText

Way = Literal["prompt_logprobs", "echo"]
"""How a server tells the probabilities of the tokens in a prompt."""

FIELDS: Mapping[Way, Mapping[str, Any]] = {
    "prompt_logprobs": {"prompt_logprobs": 1},
    "echo": {"echo": True, "logprobs": 1},
}
"""The fields of a request that ask for them."""


def measuring_request(text: GivenText, model: str, way: Way) -> dict[str, Any]:
    """The fields of a request to the API of completions: prompt and text together, as token ids.

    One token is generated, since not every server does with none.
    """
    ids = [*text.prompt.prompt_ids, *text.token_ids]
    return {"model": model, "prompt": ids, "max_tokens": 1, "temperature": 0, **FIELDS[way]}


def read_logprobs(reply: Mapping[str, Any], text: GivenText, way: Way) -> list[float]:
    """The logarithms of the probabilities of a text's tokens in a server's reply.

    Raises:
        ValueError: if the reply does not tell them.
    """
    start, end = len(text.prompt.prompt_ids), len(text.prompt.prompt_ids) + len(text.token_ids)
    try:
        [choice] = reply["choices"]
        if way == "echo":
            told = choice["logprobs"]["token_logprobs"]
            # Tokens that a server puts in front would move all others.
            values = told[start:end] if len(told) <= end + 1 else []
        else:
            told = choice["prompt_logprobs"][start:end]
            values = [of_place[str(id_)]["logprob"] for of_place, id_ in zip(told, text.token_ids, strict=True)]
        logprobs = [float(value) for value in values]
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(_lacking(way)) from None
    if len(logprobs) != len(text.token_ids) or not all(map(math.isfinite, logprobs)):
        raise ValueError(_lacking(way))
    return logprobs


def _lacking(way: Way) -> str:
    return f"the reply does not tell how likely the tokens of the prompt are, as log_probabilities: {way} expects"
