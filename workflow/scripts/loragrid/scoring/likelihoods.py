"""What scorers know of how likely texts are as answers, under the model that is evaluated."""

from __future__ import annotations

from loragrid.errors import UserError
from loragrid.records import Likelihood
from loragrid.scoring.protocol import Item
from loragrid.scoring.scorer import ScorerInputs

NO_TOKENS = "the reference has no tokens"


def likelihoods_of(inputs: ScorerInputs, item: Item) -> dict[str, Likelihood]:
    """The likelihoods of the texts of an answer's example, by text.

    Raises:
        UserError: if none were measured, although the job measures all examples.
    """
    assert inputs.likelihoods is not None
    found = {one.text: one for one in inputs.likelihoods.get((item.id, item.part), [])}
    if not found:
        raise UserError(f"scorers.{inputs.name}: no likelihood was measured for example {item.id}; delete results/likelihoods.")
    return found
