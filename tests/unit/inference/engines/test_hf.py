"""The engine `hf` on the real model."""

import pytest
import torch

from loragrid.data.render import end_tokens
from loragrid.inference.batching import answer_with
from loragrid.inference.protocol import Decoding, generate
from loragrid.models.loading import load_base_model

INPUTS = ("What is ice?", "Name a colour. " * 40, "How many legs has a spider?", "Say hello. " * 9, "Why?", "List three fruits.")
TWELVE = Decoding(max_new_tokens=12)


@pytest.fixture(scope="module")
def model(smollm2):
    return load_base_model(smollm2, "float32")


def test_texts_are_those_of_transformers_whatever_the_batch(smollm2, model, make_prompts):
    prompts, ends = make_prompts(*INPUTS), end_tokens(make_prompts.renderer, smollm2)
    # This model pads with its end token.
    assert make_prompts.renderer.tokenizer.pad_token_id in ends
    expected = []
    for prompt in prompts:
        ids = torch.tensor([prompt.prompt_ids])
        with torch.inference_mode():
            output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        expected.append(output[0, ids.shape[1] :].tolist())
    for batch_tokens in (1, 300, 16384):
        answers = generate(answer_with(model, make_prompts.renderer, ends, batch_tokens), prompts, TWELVE)
        assert [one.token_ids for [one] in answers] == expected
    backwards = generate(answer_with(model, make_prompts.renderer, ends, 16384), prompts[::-1], TWELVE)
    assert [one.token_ids for [one] in backwards] == expected[::-1]
    assert {one.finish_reason for [one] in answers} == {"stop", "length"}
