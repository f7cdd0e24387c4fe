"""Generation on a GPU."""

import pytest
import torch

from lab import PAD, adapt, make_examples, make_model
from loragrid.inference import recorded_steps
from loragrid.inference.generation import generate_together
from loragrid.inference.protocol import Decoding

NEW = 32


@pytest.fixture
def prompts():
    return [example["ids"] for example in make_examples(24, "small")]


@pytest.fixture
def model(device):
    return adapt(make_model("small", device, torch.float32), effect=0.2).eval()


def answers(model, prompts, ends=(), **decoding):
    decoding = Decoding(NEW, **decoding)
    found = generate_together(model, prompts, list(range(len(prompts))), decoding, list(ends), PAD, lambda ids: False)
    return [answer.token_ids for answer in found]


def by_transformers(model, prompt, ends):
    ids = torch.tensor([prompt], device=model.device)
    keys = {"do_sample": False, "max_new_tokens": NEW, "pad_token_id": PAD, "eos_token_id": list(ends) or None}
    with torch.inference_mode():
        return model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **keys)[0, len(prompt) :].tolist()


def test_greedy_texts_in_float32_are_those_of_generate(model, prompts):
    free = [by_transformers(model, prompt, ()) for prompt in prompts]
    assert len({tuple(text) for text in free}) > 20
    assert answers(model, prompts) == free
    # Answers that end early leave the batch.
    ends = [text[at] for text, at in zip(free[:6], (3, 9, 12, 20, 5, 28), strict=True)]
    expected = [by_transformers(model, prompt, ends) for prompt in prompts]
    assert len({len(text) for text in expected}) > 2
    assert answers(model, prompts, ends) == expected


def test_drawn_texts_do_not_depend_on_the_batch(model, prompts):
    alone = [answers(model, [prompt], temperature=1.0) for prompt in prompts[:1]]
    assert answers(model, prompts, temperature=1.0)[:1] == alone[0]


def test_recorded_steps_give_the_texts_of_steps_one_by_one(device, model, prompts, monkeypatch):
    narrow = adapt(make_model("small", device), effect=0.2).eval()
    found = [answers(one, prompts) for one in (model, narrow)]
    for one in (model, narrow):
        assert one not in recorded_steps._unrecorded
    monkeypatch.setattr("loragrid.inference.generation.recorder_of", lambda model: recorded_steps.take_step)
    assert [answers(one, prompts) for one in (model, narrow)] == found


def test_first_token_in_bfloat16_is_nearly_always_that_of_float32(device, prompts):
    wide, narrow = (adapt(make_model("small", device, dtype), effect=0.2).eval() for dtype in (torch.float32, torch.bfloat16))
    first = [[text[0] for text in answers(one, prompts)] for one in (wide, narrow)]
    assert sum(a == b for a, b in zip(*first, strict=True)) >= 14
