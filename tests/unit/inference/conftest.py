"""What the tests of engines share: prompts for SmolLM2, and the answers of the model itself."""

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def make_prompts(smollm2) -> Callable:
    """Rendered prompts for SmolLM2."""
    from loragrid.data.render import Request, load_renderer, render

    renderer = load_renderer(smollm2, {"prompt_format": "auto", "system_prompt": None, "template": None})

    def make(*inputs: str) -> list:
        return [render(renderer, Request("Answer in a few words.", text), None, 512) for text in inputs]

    make.renderer = renderer
    return make


@pytest.fixture(scope="session")
def smollm2_answers(smollm2, make_prompts) -> Callable:
    """The engine `hf` with SmolLM2 in float32."""
    from loragrid.inference.hf import open_hf

    settings = {"dtype": "float32", "engine": {"type": "hf"}}
    return open_hf(smollm2, settings, None, "none", make_prompts.renderer).answer
