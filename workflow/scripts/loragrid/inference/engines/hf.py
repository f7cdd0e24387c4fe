"""The engine `hf`: transformers and peft, in the job itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from loragrid.data.render import end_tokens
from loragrid.errors import UserError
from loragrid.inference.engine import EngineSettings, ModelToAsk, Together
from loragrid.inference.protocol import AnswerFunction, Engine, one_of
from loragrid.sections import ONLY_SPEED

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loragrid.inference.kept_engines import KeptEngines
    from loragrid.models.loading import LoadBase
    from loragrid.models.several_adapters import Parts


class HfEngine(EngineSettings):
    """transformers and peft, in the job itself."""

    type: Literal["hf"] = Field(description="Chooses this engine.")
    batch_tokens: Annotated[int | None, ONLY_SPEED] = Field(
        None,
        ge=1,
        description="Maximum number of tokens in a batch, of prompts and longest answers: higher is faster and needs more "
        "memory. If memory runs out, the job goes on with half as many. Default: 16384 on a CPU, 65536 on a GPU.",
    )

    is_reference: ClassVar[bool] = True
    loads_any_adapter: ClassVar[bool] = True

    @property
    def tells_likelihoods(self) -> bool:
        return True

    @property
    def batch_limit(self) -> int | None:
        return self.batch_tokens

    @contextmanager
    def open(self, model: ModelToAsk) -> Iterator[Engine]:
        from loragrid.models.loading import load_base_model

        with self._opened(model, load_base_model) as engine:
            yield engine

    def open_kept(self, model: ModelToAsk, kept: KeptEngines) -> AbstractContextManager[Engine]:
        return self._opened(model, kept.load)

    def gains_together(self) -> bool:
        # On a CPU each job gives the bytes that it gives alone, and larger batches gain little.
        from loragrid.models.device import pick_device

        return pick_device().type == "cuda"

    @contextmanager
    def open_together(self, models: Sequence[ModelToAsk], kept: KeptEngines) -> Iterator[Together]:
        from loragrid.inference.batching import answer_several_with
        from loragrid.models.several_adapters import SeveralAdapters

        first = models[0]
        assert first.folder is not None
        assert first.renderer is not None
        base = _base_of(first, kept.load)
        found = [_parts_of(model, base, kept.load) for model in models]
        adapters = [parts for parts in found if not isinstance(parts, str)]
        several = SeveralAdapters(base, [parts for parts in adapters if parts])
        owners = [several.nobody if isinstance(parts, str) or not parts else several.put(parts).start for parts in found]
        ends = end_tokens(first.renderer, first.folder)
        ask = answer_several_with(base, several, owners, first.renderer, ends, self._batch_tokens(base))
        try:
            engines = [why if isinstance(why, str) else _engine(base, one_of(ask, i)) for i, why in enumerate(found)]
            yield Together(engines, ask)
        finally:
            several.remove()

    @contextmanager
    def _opened(self, model: ModelToAsk, load: LoadBase) -> Iterator[Engine]:
        from loragrid.inference.batching import answer_with
        from loragrid.inference.measuring import measure_with
        from loragrid.models.loading import load_trained

        assert model.folder is not None
        assert model.renderer is not None
        base = None if model.is_whole else _base_of(model, load)
        loaded: Any = load_trained(base, model.trained, model.dtype)
        answer = answer_with(loaded, model.renderer, end_tokens(model.renderer, model.folder), self._batch_tokens(base or loaded))
        measure = measure_with(loaded, model.renderer, model.context_length, self.batch_tokens)
        yield _engine(base or loaded, answer)._replace(measure=measure)

    def _batch_tokens(self, model: PreTrainedModel) -> int:
        from loragrid.inference.batching import BATCH_TOKENS

        return self.batch_tokens or BATCH_TOKENS.get(model.device.type, BATCH_TOKENS["cpu"])


def _base_of(model: ModelToAsk, load: LoadBase) -> PreTrainedModel:
    """A base model that nobody else uses."""
    import torch

    from loragrid.models.device import keep_freed_memory

    assert model.folder is not None
    torch.set_num_threads(model.threads)
    base = load(model.folder, model.dtype, model.quantization, None)
    if base.device.type == "cpu":
        keep_freed_memory()
    return base


def _engine(model: PreTrainedModel, answer: AnswerFunction) -> Engine:
    from loragrid.models.device import device_name, type_name

    return Engine("hf", version("transformers"), answer, device_name(model.device), type_name(model.dtype))


def _parts_of(model: ModelToAsk, base: PreTrainedModel, load: LoadBase) -> Parts | str:
    """The adapter of a model, as batches of several adapters take it; empty for the base model. Or why they cannot take it.

    Args:
        base: the base model that answers; `load` gives others.
    """
    from loragrid.inference.from_cache import attends_from_cache
    from loragrid.models.adapters import load_adapter
    from loragrid.models.several_adapters import parts_of, why_not_several

    if model.is_whole:
        return "it was fine-tuned as a whole"
    if getattr(base, "is_quantized", False):
        return "the weights are quantized"
    if not attends_from_cache(base):
        return "the attention of this type of model is not computed here"
    if model.trained is None:
        return {}
    assert model.folder is not None
    try:
        # peft changes the model. One that shares the memory of the weights costs nothing.
        adapted = load_adapter(load(model.folder, model.dtype, model.quantization, None), model.trained.parent)
    except UserError as error:
        return str(error)
    return why_not_several(adapted) or parts_of(adapted)
