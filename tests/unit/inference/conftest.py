"""What the tests of engines share: prompts for SmolLM2, and the answers of the model itself."""

from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="session")
def make_prompts(smollm2) -> Callable:
    """Rendered prompts for SmolLM2."""
    from loragrid.data.render import ModelSettings, Request, load_renderer, render

    renderer = load_renderer(smollm2, ModelSettings())

    def make(*inputs: str) -> list:
        return [render(renderer, Request("Answer in a few words.", text), None, 512) for text in inputs]

    make.renderer = renderer
    return make


@pytest.fixture(scope="session")
def smollm2_answers(smollm2, make_prompts) -> Iterator[Callable]:
    """The engine `hf` with SmolLM2 in float32."""
    from loragrid.inference.engine import ModelToAsk
    from loragrid.inference.engines.hf import HfEngine

    model = ModelToAsk(folder=smollm2, renderer=make_prompts.renderer, dtype="float32")
    with HfEngine(type="hf").open(model) as engine:
        yield engine.answer
