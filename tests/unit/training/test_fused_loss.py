import contextlib

import pytest
import torch

from architectures import make_model
from loragrid.models.packed_attention import keep_examples_apart
from loragrid.training.batches import IGNORED, Encoded, collate
from loragrid.training.fused_loss import by_operators, choose_kernel, linear_cross_entropy
from loragrid.training.losses import LossPlan, SummedLoss, ends_with_output_layer, plan_loss
from loragrid.training.methods import LoraTraining
from stand_ins import varlen_on_cpu

TARGETS = torch.tensor([3, 0, IGNORED, 49, 7, 7, IGNORED])
FUSED = LossPlan(2**10, by_operators)


def plain_loss(hidden, weight, bias, targets):
    logits = torch.nn.functional.linear(hidden, weight, bias).float()
    return torch.nn.functional.cross_entropy(logits, targets, reduction="sum", ignore_index=IGNORED)


def inputs_of_layer(with_bias):
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(len(TARGETS), 16), torch.randn(50, 16), torch.randn(50)
    return [tensor.requires_grad_() for tensor in (hidden, weight, bias)[: 3 if with_bias else 2]]


@pytest.mark.parametrize("rows_at_once", [1, 3, 100])
@pytest.mark.parametrize("with_bias", [True, False])
def test_output_layer_and_loss_in_one_are_those_of_pytorch(with_bias, rows_at_once):
    inputs = inputs_of_layer(with_bias)
    hidden, weight, bias = [*inputs, None][:3]
    expected = plain_loss(hidden, weight, bias, TARGETS)
    found = linear_cross_entropy(hidden, weight, bias, TARGETS, rows_at_once * 50, by_operators, torch.float32)
    torch.testing.assert_close(found, expected)
    for mine, its in zip(torch.autograd.grad(3 * found, inputs), torch.autograd.grad(3 * expected, inputs), strict=True):
        torch.testing.assert_close(mine, its)


def test_no_more_logits_than_a_chunk_are_there_at_once_and_chunks_are_equally_large():
    rows = []

    def noting(logits, targets):
        rows.append(len(logits))
        return by_operators(logits, targets)

    hidden, weight = inputs_of_layer(with_bias=False)
    linear_cross_entropy(hidden, weight, None, TARGETS, 5 * 50, noting, torch.float32)
    assert rows == [4, 3]


def test_only_gradients_that_are_wanted_are_computed(monkeypatch):
    products = []
    multiply = torch.mm
    monkeypatch.setattr(torch, "mm", lambda *args, **more: products.append(1) or multiply(*args, **more))
    hidden, weight, bias = inputs_of_layer(with_bias=True)
    expected = plain_loss(hidden, weight, bias, TARGETS).detach()
    with torch.no_grad():
        found = linear_cross_entropy(hidden, weight, bias, TARGETS, 150, by_operators, torch.float32)
    torch.testing.assert_close(found, expected)
    assert not products
    found = linear_cross_entropy(hidden, weight.detach(), bias.detach(), TARGETS, 150, by_operators, torch.float32)
    found.backward()
    assert products
    assert hidden.grad is not None
    assert weight.grad is None


def test_products_are_computed_in_the_number_type_of_autocast_and_gradients_of_weights_are_not_rounded():
    hidden, weight, bias = inputs_of_layer(with_bias=True)
    with torch.autocast("cpu", torch.bfloat16):
        expected = plain_loss(hidden, weight, bias, TARGETS)
    found = linear_cross_entropy(hidden, weight, bias, TARGETS, 2 * 50, by_operators, torch.bfloat16)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    mine, its = (torch.autograd.grad(loss, (hidden, weight, bias)) for loss in (found, expected))
    for one, other in zip(mine, its, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_number_types_of_others_around_it_change_nothing():
    hidden, weight = inputs_of_layer(with_bias=False)
    arguments = (hidden, weight, None, TARGETS, 100, by_operators, torch.float32)
    alone = torch.autograd.grad(linear_cross_entropy(*arguments), hidden)
    with torch.autocast("cpu", torch.bfloat16):
        within = torch.autograd.grad(linear_cross_entropy(*arguments), hidden)
    assert torch.equal(alone[0], within[0])


@pytest.mark.parametrize("with_kernel", [True, False])
def test_a_model_in_whose_rows_examples_stand_apart_still_shows_its_output_layer(with_kernel):
    """Its own attention computes no text that nothing describes."""
    model = make_model("llama")
    with varlen_on_cpu() if with_kernel else contextlib.nullcontext():
        assert keep_examples_apart(model, "auto", torch.device("cpu"), torch.float32)
        chosen = model.config._attn_implementation
        assert ends_with_output_layer(model)
        assert model.config._attn_implementation == chosen != "sdpa"


def test_without_targets_the_loss_is_zero():
    hidden, weight = torch.zeros(0, 16, requires_grad=True), torch.zeros(50, 16)
    loss = linear_cross_entropy(hidden, weight, None, TARGETS[:0], 100, by_operators, torch.float32)
    loss.backward()
    assert loss == 0
    assert hidden.grad.shape == (0, 16)


BATCH = collate([Encoded([3, 4, 5, 6, 7, 8], 2), Encoded([9, 8, 7], 1)], pad=2)


def with_bias(model):
    model.lm_head = torch.nn.Linear(32, 300)
    return model


MODELS = {
    "own weights": lambda: make_model("llama"),
    "tied": lambda: make_model("gemma", tie_word_embeddings=True),
    "bias": lambda: with_bias(make_model("llama")),
    "tied, other positions": lambda: make_model("gpt2"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_trained_as_a_whole_gets_the_same_loss_and_gradients_from_the_fused_loss(kind):
    results = []
    for plan in (LossPlan(), FUSED):
        model = MODELS[kind]()
        assert ends_with_output_layer(model)
        loss = SummedLoss(model, plan=plan)(BATCH)
        loss.backward()
        results.append((loss.detach(), {name: p.grad for name, p in model.named_parameters()}))
    (expected, of_expected), (found, of_found) = results
    torch.testing.assert_close(found, expected)
    assert max(float(gradient.abs().max()) for gradient in of_expected.values()) > 1e-2
    for name, gradient in of_expected.items():
        torch.testing.assert_close(of_found[name], gradient, msg=lambda text, name=name: f"{name}: {text}", rtol=1e-4, atol=1e-5)


def test_with_the_fused_loss_the_model_itself_computes_no_logits():
    model, rows = make_model("llama"), []
    model.lm_head.register_forward_hook(lambda module, inputs, output: rows.append(output.shape[1]))
    SummedLoss(model, plan=FUSED)(BATCH)
    assert rows == [0]


@pytest.mark.parametrize(
    ("kind", "more"), [("gemma2", {}), ("cohere", {}), ("granite", {"logits_scaling": 8.0})], ids=["capped", "scaled", "divided"]
)
def test_a_model_that_changes_its_logits_is_found_out(kind, more):
    assert not ends_with_output_layer(make_model(kind, **more))


def test_a_model_whose_logits_are_too_small_for_its_cap_is_found_out_too():
    model = make_model("gemma2")
    with torch.no_grad():
        model.lm_head.weight.mul_(1e-3)
    assert float(model(input_ids=BATCH.input_ids).logits.detach().abs().max()) < 0.1
    assert not ends_with_output_layer(model)


def test_an_output_layer_with_an_adapter_or_of_another_class_is_not_fused():
    adapted = LoraTraining(method="lora", target_modules=["lm_head"]).make_trainable(make_model("llama"), 1)
    assert not ends_with_output_layer(adapted)
    elsewhere = LoraTraining(method="lora", target_modules=["q_proj"]).make_trainable(make_model("llama"), 1)
    assert ends_with_output_layer(elsewhere)

    class Layer(torch.nn.Linear):
        pass

    model = make_model("llama")
    model.lm_head = Layer(32, 300)
    assert not ends_with_output_layer(model)


def test_trying_a_model_leaves_it_as_it_was():
    model = make_model("llama").train()
    ends_with_output_layer(model)
    assert model.training
    assert not model.lm_head._forward_pre_hooks


def test_output_layer_and_loss_are_one_on_a_gpu_only_and_where_no_weights_are_spread():
    gpu = torch.device("cuda")
    assert plan_loss(make_model("llama"), torch.device("cpu"), torch.float32, "auto", False) == LossPlan(2**19, None)
    assert plan_loss(make_model("llama"), gpu, torch.bfloat16, "none", False) == LossPlan(2**26, by_operators)
    assert plan_loss(make_model("llama"), gpu, torch.bfloat16, "none", True) == LossPlan(2**26, None)
    assert plan_loss(make_model("gemma2"), gpu, torch.bfloat16, "none", False) == LossPlan(2**26, None)


def missing(logits, targets):
    raise ImportError("no such package")


def wrong_gradient(logits, targets):
    losses = by_operators(logits, targets)
    logits[0, 0] += 1
    return losses


def same(logits, targets):
    return by_operators(logits, targets)


@pytest.mark.parametrize(("quicker", "chosen"), [(missing, by_operators), (wrong_gradient, by_operators), (same, same)])
def test_a_kernel_is_used_only_where_it_computes_what_the_operators_compute(quicker, chosen):
    assert choose_kernel(50, torch.device("cpu"), torch.bfloat16, quicker) is chosen
