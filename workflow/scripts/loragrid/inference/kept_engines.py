"""Engines in a process that works for many jobs: what one job has loaded serves the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from loragrid.inference.engine import EngineSettings, ModelToAsk, Together

if TYPE_CHECKING:
    from loragrid.inference.protocol import Engine
    from loragrid.models.loading import LoadBase

Opened = TypeVar("Opened")


class KeptEngines:
    """Opens models for one job after another, as `OpenEngine` does.

    An engine either computes with base models that `load` gives, or it keeps one thing of its own open, such as a process that
    has loaded the model.
    """

    def __init__(self, load: LoadBase) -> None:
        self.load = load
        self._open: ExitStack | None = None
        self._kept: object = None

    def __call__(self, engine: EngineSettings, model: ModelToAsk) -> AbstractContextManager[Engine]:
        return engine.open_kept(model, self)

    def together(self, engine: EngineSettings, models: Sequence[ModelToAsk]) -> AbstractContextManager[Together]:
        """Open several models at once; see `EngineSettings.open_together`."""
        return engine.open_together(models, self)

    @contextmanager
    def keep(self, serves: Callable[[Opened], bool], start: Callable[[], AbstractContextManager[Opened]]) -> Iterator[Opened]:
        """What an engine keeps open, for one job. It is closed behind a job that fails: it may be in the midst of an answer.

        Args:
            serves: whether what is open, for an earlier job of the same engine, is right for this job.
            start: opens it anew.
        """
        if self._open is None or not serves(self._kept):  # type: ignore[arg-type]
            self.let_go()
            stack = ExitStack()
            self._kept = stack.enter_context(start())
            self._open = stack
        try:
            yield self._kept  # type: ignore[misc]
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """Close what is open, so that its memory is free."""
        stack, self._open, self._kept = self._open, None, None
        if stack is not None:
            stack.close()


@contextmanager
def kept_engines(load: LoadBase) -> Iterator[KeptEngines]:
    """Let engines keep what they have loaded, until the block ends.

    Args:
        load: gives each job a base model that no other job sees: `load_base_model`, or what `kept_base` yields.
    """
    engines = KeptEngines(load)
    try:
        yield engines
    finally:
        engines.let_go()
