"""The main metric of each task: what verdicts, the table of the study, curves and the summary are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class MainMetrics(NamedTuple):
    """The main metric of the experiment, and those of tasks that have another one, as `scorer/metric`."""

    default: str
    of_tasks: Mapping[str, str] = {}

    def of(self, task: str) -> str:
        """The main metric of a task."""
        return self.of_tasks.get(task, self.default)

    def names(self, tasks: Iterable[str]) -> list[str]:
        """The main metrics of some tasks, each once."""
        return list(dict.fromkeys(self.of(task) for task in tasks))

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table that are about the main metric of their task.

        A row about several tasks names them in `tasks`, as contrasts do; it is about a main metric if it is that of all of them.

        Args:
            table: with `task`, `scorer` and `metric`, and perhaps `tasks`.
        """
        several = table["tasks"].fillna("") if "tasks" in table else [""] * len(table)

        @cache
        def is_main(task: str, tasks: str, scorer: str, metric: str) -> bool:
            return self.names(tasks.split(", ") if tasks else [task]) == [f"{scorer}/{metric}"]

        return table.loc[list(map(is_main, table["task"], several, table["scorer"], table["metric"]))]
