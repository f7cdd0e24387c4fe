"""How many settings of each config were tried: whoever tries more of them finds a better one by chance alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.page.cautions import Caution, caution
from loragrid.analysis.page.configs import nb_settings

ALIKE = ["base_model", *(axis for axis in TRAINED if axis != "config")]
"""What runs of different configs have in common that are compared."""


def unequal_effort(ways: pd.DataFrame, config_of: Mapping[str, str]) -> Iterator[Caution]:
    """Configs that are compared although not as many settings of each were tried.

    Args:
        ways: the table of ways.
        config_of: the config that each setting of a sweep belongs to.
    """
    trained = ways[ways["config"].notna()] if config_of else ways[:0]
    found: dict[str, None] = {}
    for _, alike in trained.groupby(ALIKE, sort=False, dropna=False):
        tried = nb_settings(config_of, alike["config"])
        if len(set(tried.values())) > 1:
            found[", ".join(f"{config}: {number}" for config, number in tried.items())] = None
    yield from caution(
        "Configs that are compared had unequal numbers of settings.",
        "The best of many looks better by chance alone. Give each as many, or choose one setting of each on validation examples "
        "(selection with choose: setting) and compare the chosen ones.",
        found,
        "training",
    )
