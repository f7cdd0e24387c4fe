"""How likely a model in this process finds given texts."""

import pytest

from loragrid.data.render import Rendered, make_renderer
from loragrid.errors import UserError
from loragrid.inference.protocol import GivenText

PROMPTS = ([5, 6, 7, 8], [9, 10])
TEXTS = ([11, 12, 13], [14], [15, 16, 17, 18, 19])


def given(prompt, text):
    return GivenText(Rendered("", list(prompt), [], False), "", list(text))


ALL = [given(prompt, text) for prompt in PROMPTS for text in TEXTS]


@pytest.fixture(scope="module")
def renderer(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture(scope="module")
def model(tiny_model):
    from loragrid.models.loading import load_base_model

    return load_base_model(tiny_model, "float32")


def expected(model, one):
    """The same by a plain forward pass over prompt and text."""
    import torch

    prompt, ids = one.prompt.prompt_ids, one.token_ids
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + ids])).logits[0, -len(ids) - 1 : -1].double()
    return logits.log_softmax(-1)[range(len(ids)), ids].tolist()


def measured(model, renderer, texts, done=frozenset()):
    from loragrid.inference.measuring import measure_with

    found = {}
    for new in measure_with(model, renderer, 512, None)(texts, done):
        found |= new
    return found


def test_each_token_is_as_likely_as_a_plain_forward_pass_says(model, renderer):
    found = measured(model, renderer, ALL)
    assert found.keys() == set(range(len(ALL)))
    for i, one in enumerate(ALL):
        assert found[i] == pytest.approx(expected(model, one), abs=2e-6)


def test_a_text_is_as_likely_whatever_else_is_measured(model, renderer):
    assert [measured(model, renderer, [one])[0] for one in ALL] == [measured(model, renderer, ALL)[i] for i in range(len(ALL))]


def test_padded_batches_give_what_single_texts_give(model, renderer, monkeypatch):
    from loragrid.inference import measuring
    from loragrid.models.sequences import padded

    alone = measured(model, renderer, ALL)
    monkeypatch.setattr(measuring, "_batches", lambda model, sequences, longest, tokens: padded(sequences, 0, 40, longest))
    together = measured(model, renderer, ALL)
    assert together.keys() == alone.keys()
    assert all(together[i] == pytest.approx(alone[i], abs=1e-5) for i in alone)


def test_what_is_measured_already_is_left_out(model, renderer):
    assert measured(model, renderer, ALL, frozenset({0, 2, 4})).keys() == {1, 3, 5}


def test_a_learnt_prompt_stands_before_the_prompt(tiny_model, renderer):
    from peft import PromptTuningConfig, get_peft_model

    from loragrid.models.loading import load_base_model

    tuned = get_peft_model(
        load_base_model(tiny_model, "float32"), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    ).eval()
    found = measured(tuned, renderer, ALL)
    for i, one in enumerate(ALL):
        assert found[i] == pytest.approx(expected(tuned, one), abs=2e-6)


def test_the_model_computes_all_logits_again_afterwards(model, renderer):
    import torch

    measured(model, renderer, ALL[:1])
    with torch.inference_mode():
        assert model(input_ids=torch.tensor([[1, 2, 3]])).logits.shape[:2] == (1, 3)


def test_if_memory_runs_out_batches_are_halved_and_nothing_is_measured_twice(model, renderer, monkeypatch):
    from loragrid.inference import measuring

    asked, real = [], measuring._of_batch

    def short_of_memory(model, ids, mask, texts):
        asked.append(len(texts))
        if len(texts) > 1:
            raise RuntimeError("CUDA out of memory")
        return real(model, ids, mask, texts)

    from loragrid.models.sequences import padded

    monkeypatch.setattr(measuring, "_of_batch", short_of_memory)
    monkeypatch.setattr(measuring, "_batches", lambda model, sequences, longest, tokens: padded(sequences, 0, tokens, longest))
    found = {}
    for new in measuring._measure(model, renderer, ALL, 512, 32, frozenset()):
        found |= new
    assert asked.count(1) == len(ALL)
    monkeypatch.undo()
    alone = measured(model, renderer, ALL)
    assert all(found[i] == pytest.approx(alone[i], abs=1e-5) for i in alone)


def test_logits_that_are_no_numbers_are_an_error(tiny_model, renderer):
    import torch

    from loragrid.models.loading import load_base_model

    broken = load_base_model(tiny_model, "float32")
    with torch.no_grad():
        broken.get_output_embeddings().weight.fill_(torch.nan)
    with pytest.raises(UserError, match="not numbers"):
        measured(broken, renderer, ALL)


def test_a_token_without_embedding_is_an_error(model, renderer):
    with pytest.raises(UserError, match="embeddings"):
        measured(model, renderer, [given([5], [10**6])])
