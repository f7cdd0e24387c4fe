"""Whether a choice on validation data is possible: one sentence for each name and each combination that is not."""

from __future__ import annotations

from collections.abc import Iterator

from loragrid.analysis.selection.settings import VALIDATION_LOSS
from loragrid.config.root import Config
from loragrid.errors import unknown_name

_NO_LOSS_TO_COMPARE = {
    "base_model": "tokens of different tokenizers are not comparable",
    "trained_sample_type": "runs of different sample types validate on different outputs",
    "loss_computation": "it is computed on other tokens",
    "prompting": "it does not depend on how a run is asked",
    "prompt_variant": "it does not depend on how a run is asked",
    "decoding": "it does not depend on how a run is asked",
}


def broken_selection(config: Config) -> Iterator[str]:
    """One sentence for each metric that no scorer gives on validation examples, and each axis that a loss does not tell apart."""
    selection = config.selection
    if selection is None:
        return
    for by in selection.by:
        scorer = config.scorers.get(by.partition("/")[0])
        if by != VALIDATION_LOSS and by not in config.metrics:
            yield unknown_name("selection.by", "metric", by, [VALIDATION_LOSS, *config.metrics])
        elif scorer is not None and scorer.human_evaluation is not None:
            yield f"selection.by: '{by}' is rated by people, whose sheets hold no answers to validation examples."
    for axis in selection.choose if VALIDATION_LOSS in selection.by else ():
        if axis in _NO_LOSS_TO_COMPARE:
            yield f"selection.by: {VALIDATION_LOSS} cannot choose {axis}: {_NO_LOSS_TO_COMPARE[axis]}; give a metric."
