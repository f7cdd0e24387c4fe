"""Several adapters in one batch of answers: each row goes through its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from loragrid.models.several_adapters import SeveralAdapters


class RowAdapters(NamedTuple):
    """The adapters on a model, and which one each row of a batch goes through."""

    several: SeveralAdapters
    owners: torch.Tensor
    """Shape (rows,): how the tokens of a row name their adapter. What reads it in a recorded step reads it anew each time."""
    are_alike: bool
    """Whether all rows go through the same adapter."""

    def of_tokens(self, rows: torch.Tensor) -> AbstractContextManager[None]:
        """Let each token of the next forward pass go through the adapter of its row.

        Args:
            rows: the row of each token, of the shape of the token ids.
        """
        return self.several.owned(self.owners[rows])

    def keep(self, rows: torch.Tensor) -> RowAdapters:
        """Those of some rows, in their order."""
        return self._replace(owners=self.owners[rows])


def row_adapters(several: SeveralAdapters, owners: Sequence[int]) -> RowAdapters:
    """The adapters of a batch's rows.

    Args:
        owners: for each row, how its tokens name their adapter.
    """
    return RowAdapters(several, torch.tensor(owners, device=several.weights.device), len(set(owners)) == 1)
