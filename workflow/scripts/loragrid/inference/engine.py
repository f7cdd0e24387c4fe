"""What an engine is: the settings that a configuration chooses it by, and all that others need to know of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from loragrid.sections import Section

if TYPE_CHECKING:
    from loragrid.data.render import Renderer
    from loragrid.inference.protocol import Engine


class ModelToAsk(NamedTuple):
    """A model for an engine to open, and the job that wants to ask it."""

    name: str = ""
    """Of the base model in the configuration."""
    folder: Path | None = None
    """The imported base model; None where only a server has it, which then has no renderer either."""
    trained: Path | None = None
    """Weights of an adapter on the base model, or of a whole model that was made of it; None: the base model itself is asked."""
    renderer: Renderer | None = None
    dtype: str = "auto"
    """Number type, as configured."""
    quantization: str = "none"
    context_length: int = 0
    """Longest prompt and answer together, in tokens; 0 where there is no folder."""
    threads: int = 1
    job: str = ""
    """The file that the job makes: it tells the job from others that ask the same model."""


class EngineSettings(Section, ABC):
    """An engine as a configuration describes it.

    Each subclass says by a `Literal` as its `type` what chooses it, and in its class attributes and methods what others need to
    know. All but `open` is asked while the workflow is planned: what takes a while to import is imported in `open`.
    """

    type: str

    is_server: ClassVar[bool] = False
    """Whether a server computes: a job that asks it needs no GPU."""
    repeats_itself: ClassVar[bool] = True
    """Whether it promises the same answer to the same question, alone or in a batch, where the number type is wide enough."""
    knows_number_type: ClassVar[bool] = True
    """Whether an opened engine tells the number type that it computes in; else only the configuration can say."""
    is_reference: ClassVar[bool] = False
    """Whether the answers of other engines are compared with those of this one."""
    loads_whole_models: ClassVar[bool] = True
    """Whether it can ask a model all of whose weights were trained."""
    loads_any_adapter: ClassVar[bool] = False
    """Whether it can use adapters of all methods; else of plain LoRA alone."""

    @property
    def loads_adapters(self) -> bool:
        """Whether it can ask a base model with an adapter."""
        return True

    @property
    def needs_source(self) -> bool:
        """Whether the base model has to be here: at least its tokenizer, which makes the prompts."""
        return True

    @property
    def batch_limit(self) -> int | None:
        """What decides how prompts are put together, and so how results are rounded; None where that is not for us to decide."""
        return None

    def files(self) -> dict[str, str]:
        """The files on this machine that it needs, by their keys."""
        return {}

    def problems(self, quantization: str) -> Iterator[str]:
        """One sentence for each setting of a base model that does not go with the engine, beginning with the setting's key.

        Args:
            quantization: of the base model.
        """
        yield from ()

    @abstractmethod
    def open(self, model: ModelToAsk) -> AbstractContextManager[Engine]:
        """Make a model ready to be asked."""


OpenEngine = Callable[[EngineSettings, ModelToAsk], "AbstractContextManager[Engine]"]
"""How a model is made ready to be asked. A process that has loaded it already gives a function of its own."""


def open_engine(engine: EngineSettings, model: ModelToAsk) -> AbstractContextManager[Engine]:
    """Load a model, or connect to its server."""
    return engine.open(model)
