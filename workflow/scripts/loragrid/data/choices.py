"""The choices between which a model decides: texts made by templates from an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loragrid.errors import UserError
from loragrid.runtime.templates import fill_template


def choices_of(templates: Sequence[str], instruction: str, input_: str, metadata: Mapping[str, str]) -> list[str]:
    """The choices of an example, one for each template, in their order. A template that gives no words gives no choice: ''.

    Raises:
        UserError: naming the template that does not fit the example.
    """
    fields = {"instruction": instruction, "input": input_, "metadata": metadata}
    texts = []
    for i, template in enumerate(templates):
        try:
            text = fill_template(template, fields)
        except UserError as error:
            raise UserError(f"choices[{i}]: {error}") from None
        texts.append(text if text.strip() else "")
    return texts
