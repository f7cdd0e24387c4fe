"""The scorer `true_false`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.labels import verdict
from loragrid.text.words import share_in_other_scripts, shortened


class TrueFalseScorer(ScorerSettings):
    """1 if a text's verdict, true or false, is the reference's verdict, else 0; `tie` is 1 if the prediction has no verdict.

    The verdict is the word, `true` or `false`, that occurs more often in the lower-cased text. A tie is wrong unless the
    reference ties too. A reference in another script than Latin has no verdict, and is a failure.
    """

    type: Literal["true_false"] = Field(description="Chooses this scorer.")
    cut: bool = Field(True, description="Read predictions and references up to their first `.` only.")

    edition = 1
    example_metrics = ("accuracy", "tie")
    limits = (0.0, 1.0)
    right_or_wrong = ("accuracy", "tie")
    low_is_good = ("tie",)
    reads_labels = True
    reference_advice = "use the scorer 'label' for other words"

    def reference_check(self) -> Callable[[Sequence[str]], str | None]:
        def check(references: Sequence[str]) -> str | None:
            if any(word in reference.lower() for word in ("true", "false") for reference in references):
                return None
            return f"the reference '{shortened(' '.join(references))}' has neither 'true' nor 'false'."

        return check

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return true_false(self.cut)

    def label_reader(self) -> Callable[[str], str]:
        return lambda text: verdict(text, self.cut)


def true_false(cut: bool) -> ScorerFunction:
    """`accuracy`: 1 if prediction and reference have the same verdict. `tie`: 1 if the prediction has no verdict.

    Args:
        cut: read each text up to its first full stop only.
    """

    def score_one(item: Item) -> Outcome:
        # Such references would all tie, and every answer without a verdict would be right.
        if all(map(_is_in_another_script, item.references)):
            return Failed(f"the reference has neither 'true' nor 'false': '{shortened(' '.join(item.references))}'")
        given = verdict(item.prediction, cut)
        wanted = {verdict(reference, cut) for reference in item.references}
        return Scored({"accuracy": float(given in wanted), "tie": float(given == "tie")}, given)

    return lambda items: [score_one(item) for item in items]


def _is_in_another_script(reference: str) -> bool:
    return verdict(reference, cut=False) == "tie" and share_in_other_scripts(reference) == 1
