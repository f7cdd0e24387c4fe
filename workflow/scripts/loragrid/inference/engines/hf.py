"""The engine `hf`: transformers and peft, in the job itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from loragrid.data.render import end_tokens
from loragrid.inference.engine import EngineSettings, ModelToAsk
from loragrid.inference.protocol import Engine
from loragrid.sections import ONLY_SPEED


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
    def batch_limit(self) -> int | None:
        return self.batch_tokens

    @contextmanager
    def open(self, model: ModelToAsk) -> Iterator[Engine]:
        import torch

        from loragrid.inference.batching import BATCH_TOKENS, answer_with
        from loragrid.models.device import device_name, keep_freed_memory, type_name
        from loragrid.models.loading import load_base_model, load_trained

        assert model.folder is not None
        assert model.renderer is not None
        torch.set_num_threads(model.threads)
        base = load_base_model(model.folder, model.dtype, model.quantization)
        if base.device.type == "cpu":
            keep_freed_memory()
        batch_tokens = self.batch_tokens or BATCH_TOKENS.get(base.device.type, BATCH_TOKENS["cpu"])
        loaded, ends = load_trained(base, model.trained, model.dtype), end_tokens(model.renderer, model.folder)
        answer = answer_with(loaded, model.renderer, ends, batch_tokens)
        yield Engine("hf", version("transformers"), answer, device_name(base.device), type_name(base.dtype))
