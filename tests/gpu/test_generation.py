"""Generation on a GPU."""

import copy

import pytest
import torch

from lab import PAD, adapt, make_examples, make_model
from loragrid.inference import recorded_steps
from loragrid.inference.generation import generate_together
from loragrid.inference.protocol import Decoding
from loragrid.inference.row_adapters import row_adapters
from loragrid.models.several_adapters import SeveralAdapters, parts_of
from recordings import record_on_cpu

NEW = 32


@pytest.fixture
def prompts():
    return [example["ids"] for example in make_examples(24, "small")]


@pytest.fixture
def model(device):
    return adapt(make_model("small", device, torch.float32), effect=0.2).eval()


def answers(model, prompts, ends=(), adapters=None, **decoding):
    decoding, seeds = Decoding(NEW, **decoding), list(range(len(prompts)))
    found = generate_together(model, prompts, seeds, decoding, list(ends), PAD, lambda ids: False, adapters=adapters)
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


EFFECTS = (0.05, 0.1, 0.2)
"""Of adapters that answer differently."""


def together(device, prompts, dtype, ends=()):
    """The texts of a base model and of adapters on it: in one batch, and of each by itself."""
    base = make_model("small", device, dtype)
    adapted = [adapt(copy.deepcopy(base), effect).eval() for effect in EFFECTS]
    expected = [answers(one, prompts, ends) for one in (base, *adapted)]
    several = SeveralAdapters(base, [parts_of(one) for one in adapted])
    owners = [several.nobody, *(several.put(parts_of(one)).start for one in adapted)]
    rows = row_adapters(several, [owner for owner in owners for _ in prompts])
    found = answers(base, prompts * len(owners), ends, rows)
    assert base not in recorded_steps._unrecorded
    return [found[i * len(prompts) : (i + 1) * len(prompts)] for i in range(len(owners))], expected


def test_several_adapters_in_one_batch_give_the_texts_of_each_by_itself_in_float32(device, prompts):
    found, expected = together(device, prompts, torch.float32)
    assert len({str(texts) for texts in expected}) == len(EFFECTS) + 1
    assert found == expected
    # Answers that end early leave the batch, and the owners of its rows with them.
    ends = [text[at] for text, at in zip(expected[1][:6], (3, 9, 12, 20, 5, 28), strict=True)]
    found, expected = together(device, prompts, torch.float32, ends)
    assert len({len(text) for text in expected[2]}) > 2
    assert found == expected


def test_recorded_steps_with_several_adapters_give_the_texts_of_steps_one_by_one(device, on_gpu, prompts, monkeypatch):
    if not on_gpu:
        monkeypatch.setattr("loragrid.inference.generation.recorder_of", lambda model: record_on_cpu)
    found, alone = together(device, prompts, torch.bfloat16)
    monkeypatch.setattr("loragrid.inference.generation.recorder_of", lambda model: recorded_steps.take_step)
    assert together(device, prompts, torch.bfloat16)[0] == found
    # In bfloat16 the shape of a batch changes the rounding, and later tokens with it.
    first = [(a[0], b[0]) for of_one, own in zip(found, alone, strict=True) for a, b in zip(of_one, own, strict=True)]
    assert sum(a == b for a, b in first) >= 0.6 * len(first)
