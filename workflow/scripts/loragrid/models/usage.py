"""What a model card says of a model's use: code that works as it stands, in the folder of the card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from loragrid.data.asking import INPUT, QUESTION, Asking, asking
from loragrid.data.render import ModelSettings, end_tokens, load_renderer, pad_token
from loragrid.errors import UserError
from loragrid.layout import ASKINGS
from loragrid.runtime.files import fingerprint, write_json
from loragrid.runtime.job import versions
from loragrid.runtime.manifests import read_json
from loragrid.runtime.model_folders import content_of_model
from loragrid.runtime.pretrained import load_tokenizer

USE = "## Use"
"""The heading of the part of a card that this module writes."""


class Base(NamedTuple):
    """Where a base model is found."""

    place: str
    """Repository of a hub, or the folder as seen from the card's."""
    revision: str | None = None
    origin: str | None = None
    """Where the folder came from, for those who do not have it."""


def asking_of(folder: Path, manifest: Mapping[str, Any]) -> Asking | None:
    """How a trained model is asked; None if its manifest does not tell, as those of early versions.

    Args:
        folder: of its base model.
        manifest: of its training.
    """
    if "model" not in manifest:
        return None
    renderer = load_renderer(folder, ModelSettings.model_validate(manifest["model"]))
    return asking(renderer, end_tokens(renderer, folder), pad_token(renderer))


def kept_asking_of(folder: Path, manifest: Mapping[str, Any], own: Path) -> tuple[Asking | None, str | None]:
    """How a trained model is asked, and the chat template of its tokenizer.

    Both take seconds to find, and are the same for all runs of a base model, so they are kept.

    Args:
        folder: of its base model.
        manifest: of its training.
        own: folder of the tokenizer with which it is used.
    """
    told = {
        "model": manifest.get("model"),
        "files": [content_of_model(one, {path.name for path in one.glob("*.safetensors")}) for one in (folder, own)],
        "versions": versions("transformers", "tokenizers"),
    }
    path = Path(ASKINGS) / f"{fingerprint(told)[:32]}.json"
    if path.exists():
        with suppress(UserError, TypeError):
            found = read_json(path, ["asking", "template"])
            return found["asking"] and Asking(**found["asking"]), found["template"]
    asked, template = asking_of(folder, manifest), load_tokenizer(own).chat_template
    write_json(path, {"asking": asked and asked._asdict(), "template": template})
    return asked, template


def usage(
    kind: Literal["adapter", "whole"], asked: Asking | None, dtype: str, base: Base, template_of_tokenizer: str | None
) -> list[str]:
    """The lines of a card about a model's use.

    Args:
        dtype: number type in which it was trained.
        template_of_tokenizer: the chat template that the tokenizer in the snippet has by itself.
    """
    place, more = (".", "") if kind == "whole" else (base.place, f", revision={base.revision!r}" if base.revision else "")
    loading = [f"tokenizer = AutoTokenizer.from_pretrained({place!r}{more})"]
    loaded = f"AutoModelForCausalLM.from_pretrained({place!r}{more}, dtype={dtype!r})"
    names = "AutoModelForCausalLM, AutoTokenizer" + (", GenerationConfig" if asked else "")
    if kind == "whole":
        head = [f"from transformers import {names}", "", *loading, f"model = {loaded}"]
    else:
        head = ["from peft import PeftModel", f"from transformers import {names}", "", *loading, f"base = {loaded}"]
        head.append("model = PeftModel.from_pretrained(base, '.')")
    lines = [*_remarks(kind, base), "", "```python", *head]
    if asked is None:
        return [*lines, "```"]
    settings = f"do_sample=False, max_new_tokens=256, eos_token_id={list(asked.ends)}, pad_token_id={asked.pad}"
    variable = "model" if kind == "whole" else "base"
    lines.append(f"{variable}.generation_config = GenerationConfig({settings})")
    return [*lines, "", *_asking(asked, template_of_tokenizer), *_ANSWER, "```"]


def _remarks(kind: str, base: Base) -> list[str]:
    said = "Run this in the folder of this card. It asks one question as the model was asked here, for its most likely answer."
    if kind == "whole" or base.origin is None:
        return [said]
    return [said, f"Elsewhere, put the place where you have the base model ({base.origin}) instead of `{base.place}`."]


_ANSWER = [
    "output = model.generate(**inputs)",
    "answer = tokenizer.decode(output[0, inputs['input_ids'].shape[1] :], skip_special_tokens=True).strip()",
    "print(answer)",
]


def _asking(asked: Asking, template_of_tokenizer: str | None) -> list[str]:
    """The lines that make `inputs` out of `question` and `text`."""
    texts = ["question = 'What is the capital of France?'", "text = ''  # what the question is about, if anything"]
    if asked.chat_template is not None:
        own = asked.chat_template != template_of_tokenizer
        template = ["tokenizer.chat_template = (", *_literal(asked.chat_template), ")"] if own else []
        arguments = "".join(f", {name}={value!r}" for name, value in asked.arguments.items())
        how = f"add_generation_prompt=True, return_dict=True, return_tensors='pt'{arguments}"
        return [*template, *texts, *_conversation(asked.messages), f"inputs = tokenizer.apply_chat_template(messages, {how})"]
    if asked.prompts is None:
        return ["raise NotImplementedError('only the workflow writes the prompts of this model: its template changes texts')"]
    with_text, without = (_code(prompt, {QUESTION: "question", INPUT: "text"}) for prompt in asked.prompts)
    tokens = "inputs = tokenizer(prompt, add_special_tokens=False, return_tensors='pt')"
    return [*texts, f"prompt = {with_text} if text else {without}", tokens]


def _conversation(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines that make `messages`."""
    if "input" in messages[-1]:
        asked, turns = [], [*messages[:-1]]
        last = ["    {'role': 'user', 'content': question, 'input': text},"]
    else:
        # A chat has one text for both.
        asked, turns, last = ["asked = question + '\\n\\n' + text if text else question"], [*messages], []
    lines = [f"    {{'role': {turn['role']!r}, 'content': {_content(turn['content'])}}}," for turn in turns]
    return [*asked, "messages = [", *lines, *last, "]"]


def _content(content: Any) -> str:
    if isinstance(content, list):
        return f"[{{'type': 'text', 'text': {_content(content[0]['text'])}}}]"
    return _code(content, {f"{QUESTION}\n\n{INPUT}": "asked"})


def _code(text: str, names: Mapping[str, str]) -> str:
    """Code that gives a text.

    Args:
        names: the variables that stand in the places of certain words.
    """
    parts = re.split(f"({'|'.join(map(re.escape, names))})", text)
    return " + ".join(names[part] if part in names else repr(part) for part in parts if part) or "''"


def _literal(text: str) -> list[str]:
    """A text as Python's literals, one a line."""
    return [f"    {line!r}" for line in text.splitlines(keepends=True)]


def with_usage(card: str, lines: Sequence[str]) -> str:
    """The card of an adapter as that of the whole model that was made of it."""
    before, _, after = card.partition(f"{USE}\n")
    rest = after.rpartition("```\n")[2]
    before = before.replace("library_name: peft\n", "library_name: transformers\n", 1)
    before = before.replace("\nAn adapter of ", "\nA copy, with an adapter merged into it, of ", 1)
    return f"{before}{USE}\n\n" + "\n".join(lines) + "\n" + rest


def ship_format(folder: Path, asked: Asking | None) -> Any:
    """Give a whole model's folder the chat template of its training, or none, and the tokens that end its answers.

    Returns:
        Its tokenizer.
    """
    tokenizer = load_tokenizer(folder)
    if asked is None:
        return tokenizer
    tokenizer = asked.fit(tokenizer)
    for left in ("chat_template.jinja", "chat_template.json"):
        (folder / left).unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    # What else a base model says of its answers, such as how they are drawn, was not how this one was asked.
    write_json(folder / "generation_config.json", {"eos_token_id": list(asked.ends), "pad_token_id": asked.pad})
    return tokenizer
