"""Engines: the settings by which a configuration chooses one, and all that other modules need to know about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from loragrid.sections import Section

if TYPE_CHECKING:
    from loragrid.data.render import Renderer
    from loragrid.inference.kept_engines import KeptEngines
    from loragrid.inference.protocol import AskSeveral, Engine


WHOLE = "model.safetensors"
"""The file with the weights of a model that was fine-tuned as a whole. Weights of adapters have other names."""


class ModelToAsk(NamedTuple):
    """A model for an engine to open, and the job that wants to ask it."""

    name: str = ""
    """The base model's name in the configuration."""
    folder: Path | None = None
    """The imported base model. None if only a server has the model; then there is no renderer either."""
    trained: Path | None = None
    """Weights of an adapter on the base model, or of a fully fine-tuned model; None: the base model itself is asked."""
    renderer: Renderer | None = None
    dtype: str = "auto"
    """Number type, as configured."""
    quantization: str = "none"
    context_length: int = 0
    """Maximum length of prompt and answer together, in tokens; 0 if there is no folder."""
    threads: int = 1
    job: str = ""
    """The file that the job makes. It tells the job from other jobs that ask the same model."""

    @property
    def is_whole(self) -> bool:
        """Whether the model was fine-tuned as a whole: it needs no base model."""
        return self.trained is not None and self.trained.name == WHOLE


class EngineSettings(Section, ABC):
    """An engine as a configuration describes it.

    The field `type` of each subclass is a `Literal` by which a configuration chooses it. Class attributes and methods say what
    other modules need to know. All methods but `open` are called while the workflow is planned: slow imports belong in `open`.
    """

    type: str

    is_server: ClassVar[bool] = False
    """Whether a server computes: a job that asks it needs no GPU."""
    repeats_itself: ClassVar[bool] = True
    """Whether it promises the same answer to the same question, alone or in a batch, if the number type is wide enough."""
    knows_number_type: ClassVar[bool] = True
    """Whether an opened engine tells the number type of its computing; else only the configuration can say."""
    is_reference: ClassVar[bool] = False
    """Whether the answers of other engines are compared with the answers of this engine."""
    loads_whole_models: ClassVar[bool] = True
    """Whether it can ask a fully fine-tuned model."""
    loads_any_adapter: ClassVar[bool] = False
    """Whether it can use adapters of all methods; else only plain LoRA adapters."""
    likelihood_advice: ClassVar[str] = "choose another engine, or leave the scorer out of the task"
    """What to do in the settings if it does not tell likelihoods that a scorer reads."""

    @property
    def loads_adapters(self) -> bool:
        """Whether it can ask a base model with an adapter."""
        return True

    @property
    def needs_source(self) -> bool:
        """Whether the base model has to be here: at least its tokenizer, which makes the prompts."""
        return True

    @property
    def sends_text(self) -> bool:
        """Whether something else makes the tokens of a prompt, from its text."""
        return False

    @property
    def tells_likelihoods(self) -> bool:
        """Whether it tells how likely a given text is as an answer: whether `measure` of an opened engine is a function."""
        return False

    @property
    def batch_limit(self) -> int | None:
        """The setting that decides how prompts are batched, and so how results are rounded; None if we cannot decide that."""
        return None

    @property
    def address(self) -> str | None:
        """Where the server is that computes; None if none does, or if the environment does not say."""
        return None

    def files(self) -> dict[str, str]:
        """The files on this machine that it needs, by their keys."""
        return {}

    def problems(self, quantization: str) -> Iterator[str]:
        """One sentence for each setting of a base model that does not suit the engine. It begins with the setting's key.

        Args:
            quantization: of the base model.
        """
        yield from ()

    @abstractmethod
    def open(self, model: ModelToAsk) -> AbstractContextManager[Engine]:
        """Make a model ready to be asked."""

    def open_kept(self, model: ModelToAsk, kept: KeptEngines) -> AbstractContextManager[Engine]:
        """As `open`, in a process that works for many jobs: what they share stays loaded from one to the next."""
        return self.open(model)

    def gains_together(self) -> bool:
        """Whether several adapters of a base model answer faster together than one after another, here. It may import torch."""
        return False

    def open_together(self, models: Sequence[ModelToAsk], kept: KeptEngines) -> AbstractContextManager[Together]:
        """Make adapters of one base model, and the base model itself, ready to be asked together, where that gains something."""
        raise NotImplementedError


class Together(NamedTuple):
    """Several models that are asked together."""

    engines: list[Engine | str]
    """Each model as an engine of its own; or why it is to be asked apart from the others, as part of a sentence."""
    ask: AskSeveral


OpenEngine = Callable[[EngineSettings, ModelToAsk], "AbstractContextManager[Engine]"]
"""How a model is made ready to be asked. A process that has loaded the model already gives a function of its own."""


def open_engine(engine: EngineSettings, model: ModelToAsk) -> AbstractContextManager[Engine]:
    """Load a model, or connect to its server."""
    return engine.open(model)
