import pytest
import torch

from loragrid.data.render import make_renderer, render, zero_shot
from loragrid.inference.batching import answer_with
from loragrid.inference.checks import check_generation, differs_from_base, last_logits, same_texts
from loragrid.inference.protocol import Decoding
from loragrid.models.loading import load_base_model
from loragrid.training.methods import LoraTraining

FIVE = Decoding(max_new_tokens=5)


@pytest.fixture(scope="module")
def renderer(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture
def model(tiny_model):
    return load_base_model(tiny_model, "float32")


@pytest.fixture
def prompts(renderer, make_example):
    return [render(renderer, zero_shot(make_example(str(i), input="word " * (9 * i))), None, 512) for i in range(2)]


def outcome(model, renderer, prompts, **more):
    engine = answer_with(model, renderer, [2], 10_000)
    checks, answers = check_generation(engine, prompts, FIVE, [2], **({"exact": True} | more))
    assert [len(one.token_ids) for one in answers] == [5, 5]
    return {name: check["passed"] for name, check in checks.items()}


def test_model_that_decodes_greedily_passes(model, renderer, prompts):
    assert outcome(model, renderer, prompts) == {
        "same text twice": True,
        "same text in a batch": True,
        "end token or length": True,
    }


def test_model_that_does_not_answer_the_same_twice_fails(model, renderer, prompts):
    model.get_output_embeddings().register_forward_hook(lambda *args: torch.rand_like(args[-1]))
    assert outcome(model, renderer, prompts)["same text twice"] is False
    assert outcome(model, renderer, prompts, repeatable=False)["same text twice"] is None


def test_model_whose_answer_depends_on_the_batch_fails_where_the_number_type_is_no_excuse(model, renderer, prompts):
    def wrong_in_a_batch(module, inputs, logits):
        return logits if logits.shape[0] == 1 and logits.shape[1] == 1 else -logits

    model.get_output_embeddings().register_forward_hook(wrong_in_a_batch)
    assert outcome(model, renderer, prompts)["same text in a batch"] is False
    assert outcome(model, renderer, prompts, exact=False)["same text in a batch"] is None


def test_other_texts_of_another_engine_fail_only_if_they_have_to_be_the_same(model, renderer, prompts):
    engine = answer_with(model, renderer, [2], 10_000)
    _, answers = check_generation(engine, prompts, FIVE, [2], exact=True)
    assert same_texts(answers, answers, strict=True)["passed"] is True
    others = [one._replace(text="other") for one in answers]
    assert same_texts(answers, others, strict=True)["passed"] is False
    assert same_texts(answers, others, strict=False)["passed"] is None


def test_adapter_differs_from_its_base_only_if_it_changes_something(model, prompts):
    base_logits = [last_logits(model, p.prompt_ids) for p in prompts]
    adapted = LoraTraining().make_trainable(model, 1).eval()
    assert differs_from_base(adapted, base_logits, prompts) == {"passed": False, "evidence": [0.0, 0.0]}
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    assert differs_from_base(adapted, base_logits, prompts)["passed"] is True
