"""The scorer `true_false`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Item, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.labels import verdict


class TrueFalseScorer(ScorerSettings):
    """1 if a text's verdict, true or false, is that of the reference, else 0; `tie` is 1 where the prediction has none.

    The verdict is what occurs more often in the lower-cased text, `true` or `false`. A tie is wrong unless the reference ties
    too.
    """

    type: Literal["true_false"] = Field(description="Chooses this scorer.")
    cut: bool = Field(True, description="Read predictions and references up to their first `.` only.")

    example_metrics = ("accuracy", "tie")
    low_is_good = ("tie",)
    reads_labels = True

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return true_false(self.cut)

    def label_reader(self) -> Callable[[str], str]:
        return lambda text: verdict(text, self.cut)


def true_false(cut: bool) -> ScorerFunction:
    """1 where prediction and reference have the same verdict (`accuracy`), and where the prediction has none (`tie`).

    Args:
        cut: read each up to its first full stop only.
    """

    def score_one(item: Item) -> Scored:
        given = verdict(item.prediction, cut)
        wanted = {verdict(reference, cut) for reference in item.references}
        return Scored({"accuracy": float(given in wanted), "tie": float(given == "tie")}, given)

    return lambda items: [score_one(item) for item in items]
