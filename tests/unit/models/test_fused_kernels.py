"""Liger's kernels in a model: a package stands in for liger-kernel whose functions compute the same in PyTorch, or something else."""

import sys

import pytest
import torch
from transformers.models.llama import modeling_llama
from transformers.models.qwen3_moe import modeling_qwen3_moe

from architectures import make_model
from loragrid.models.fused_kernels import use_fused_kernels, usual_functions_afterwards
from loragrid.sections import decisive
from loragrid.training.methods import parse_training

CUDA = torch.device("cuda")

PACKAGE = """
import types

import torch
from transformers.models.llama import modeling_llama
from transformers.models.qwen3_moe import modeling_qwen3_moe

CALLS, OFFSET, BACKWARD, CAN_COMPILE = [], 0.0, 1.0, True


class ScaledBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return BACKWARD * gradient


def rms_norm(self, x):
    CALLS.append("rms_norm")
    if not CAN_COMPILE:
        raise RuntimeError("Failed to find C compiler")
    normed = x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + self.variance_epsilon)
    return ScaledBackward.apply((self.weight + self.offset) * normed.to(x.dtype))


def swiglu(self, x):
    CALLS.append("swiglu")
    return self.down_proj(torch.nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


def rope(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
    CALLS.append("rope")
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    half = q.shape[-1] // 2
    turned = [torch.cat((-x[..., half:], x[..., :half]), -1) for x in (q, k)]
    return q * cos + turned[0] * sin, k * cos + turned[1] * sin


class LigerRMSNorm(torch.nn.Module):
    pass


def bind(module, function):
    module.__dict__["forward"] = types.MethodType(function, module)


def apply_to(source, norm, model, chosen):
    assert not chosen["cross_entropy"] and not chosen["fused_linear_cross_entropy"]
    if chosen["rope"]:
        source.apply_rotary_pos_emb = rope
    if chosen["rms_norm"]:
        setattr(source, norm, LigerRMSNorm)
        for layer in (model.model, *model.model.layers):
            for module in layer.children():
                if hasattr(module, "variance_epsilon"):
                    module.offset = OFFSET
                    bind(module, rms_norm)
    if chosen["swiglu"]:
        for layer in model.model.layers:
            bind(layer.mlp, swiglu)


def apply_liger_kernel_to_llama(
    rope=True, cross_entropy=False, fused_linear_cross_entropy=True, rms_norm=True, swiglu=True, model=None
):
    apply_to(modeling_llama, "LlamaRMSNorm", model, locals())


def apply_liger_kernel_to_qwen3_moe(
    rope=False, cross_entropy=True, fused_linear_cross_entropy=False, rms_norm=True, swiglu=True, model=None
):
    apply_to(modeling_qwen3_moe, "Qwen3MoeRMSNorm", model, locals())


def apply_liger_kernel_to_nemotron(relu_squared=True, cross_entropy=False, fused_linear_cross_entropy=True, model=None):
    raise AssertionError("there is nothing to apply")


MODEL_TYPE_TO_APPLY_LIGER_FN = {"llama": apply_liger_kernel_to_llama, "qwen3_moe": apply_liger_kernel_to_qwen3_moe}
MODEL_TYPE_TO_APPLY_LIGER_FN["nemotron"] = apply_liger_kernel_to_nemotron
"""


@pytest.fixture
def liger(tmp_path, monkeypatch):
    """The module of a package `liger_kernel` that is forgotten afterwards, as is what it did to transformers."""
    folder = tmp_path / "liger_kernel" / "transformers"
    folder.mkdir(parents=True)
    for path in (folder.parent / "__init__.py", folder / "__init__.py"):
        path.touch()
    (folder / "monkey_patch.py").write_text(PACKAGE)
    for name in [name for name in sys.modules if name.startswith("liger_kernel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", modeling_llama.apply_rotary_pos_emb)
    import liger_kernel.transformers.monkey_patch as package

    yield package
    for name in [name for name in sys.modules if name.startswith("liger_kernel")]:
        del sys.modules[name]


def llama(**more):
    return make_model("llama", **more)


def gradients(model):
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    logits = model(input_ids=ids, use_cache=False).logits
    return [logits, *torch.autograd.grad(logits.square().mean(), [p for p in model.parameters() if p.requires_grad])]


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def state(model):
    return [dict(vars(part)) for part in model.modules()]


def test_a_model_with_kernels_has_the_logits_and_gradients_that_it_had(liger, caplog):
    model = llama()
    expected, names = gradients(model), dict(vars(modeling_llama))
    with caplog.at_level("INFO", logger="loragrid"):
        assert use_fused_kernels(model, CUDA)
    assert caplog.messages == ["fused kernels of liger-kernel: rms_norm, rope, swiglu"]
    liger.CALLS.clear()
    assert_close(gradients(model), expected)
    assert [liger.CALLS.count(name) for name in ("rms_norm", "rope", "swiglu")] == [5, 2, 2]
    assert {name for name, value in vars(modeling_llama).items() if value is not names[name]} == {"apply_rotary_pos_emb"}
    assert "forward" not in vars(model)


def test_adapters_of_all_linear_layers_learn_through_the_kernels(liger):
    training = parse_training({"target_modules": "all-linear"})
    models = [llama(), llama()]
    assert use_fused_kernels(models[1], CUDA)
    liger.CALLS.clear()
    found = []
    for model in models:
        adapted = training.make_trainable(model, 3)
        for number, parameter in enumerate(p for p in adapted.parameters() if p.requires_grad):
            torch.nn.init.normal_(parameter, 0, 0.1, torch.Generator().manual_seed(number))
        found.append(gradients(adapted))
    assert len(found[0]) == 1 + 2 * 7 * 2
    assert_close(*found)
    assert liger.CALLS.count("swiglu") == 2


def test_other_models_of_the_type_stay_as_they_are(liger):
    assert use_fused_kernels(llama(), CUDA)
    liger.CALLS.clear()
    gradients(llama())
    assert set(liger.CALLS) <= {"rope"}


def test_the_next_work_of_the_process_finds_the_functions_of_transformers(liger):
    usual = modeling_llama.apply_rotary_pos_emb
    for _ in range(2):
        with usual_functions_afterwards():
            assert use_fused_kernels(llama(), CUDA)
            assert modeling_llama.apply_rotary_pos_emb is not usual
        assert modeling_llama.apply_rotary_pos_emb is usual


def test_functions_are_exchanged_for_the_models_kind_of_device_only(liger):
    assert use_fused_kernels(llama(), CUDA)
    liger.CALLS.clear()
    q, k, angles = (torch.zeros(*shape, device="meta") for shape in ((1, 4, 3, 8), (1, 2, 3, 8), (1, 3, 8)))
    modeling_llama.apply_rotary_pos_emb(q, k, angles, angles)
    assert liger.CALLS == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OFFSET", 1.0, "they change a short text's logits or gradient by"),
        ("OFFSET", float("nan"), "they change a short text's logits or gradient by inf"),
        ("BACKWARD", 1.5, "they change a short text's logits or gradient by"),
        ("CAN_COMPILE", False, "RuntimeError: Failed to find C compiler"),
    ],
)
def test_kernels_that_compute_something_else_or_nothing_are_put_back(liger, monkeypatch, caplog, name, value, said):
    monkeypatch.setattr(liger, name, value)
    model = llama()
    expected, before, names = gradients(model), state(model), dict(vars(modeling_llama))
    with caplog.at_level("INFO", logger="loragrid"):
        assert not use_fused_kernels(model, CUDA)
    assert caplog.messages[0].startswith(f"no fused kernels: {said}")
    assert state(model) == before
    assert dict(vars(modeling_llama)) == names
    liger.CALLS.clear()
    assert all(torch.equal(one, other) for one, other in zip(gradients(model), expected, strict=True))
    assert liger.CALLS == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_is_no_difference(liger, dtype):
    assert use_fused_kernels(llama().to(dtype), CUDA)


def test_only_elementwise_kernels_that_liger_itself_uses_are_taken(liger, caplog):
    """The kernels for experts replace products of matrices, and those for the encoding of positions are off by default here."""
    model, usual = make_model("qwen3_moe"), modeling_qwen3_moe.apply_rotary_pos_emb
    with caplog.at_level("INFO", logger="loragrid"):
        assert use_fused_kernels(model, CUDA)
    assert caplog.messages == ["fused kernels of liger-kernel: rms_norm"]
    assert modeling_qwen3_moe.apply_rotary_pos_emb is usual


@pytest.mark.parametrize("kind", ["gpt2", "nemotron"])
def test_types_for_which_liger_has_no_such_kernels_are_told(liger, caplog, kind):
    with caplog.at_level("INFO", logger="loragrid"):
        assert not use_fused_kernels(make_model(kind), CUDA)
    assert caplog.messages == [f"no fused kernels: liger-kernel has none for models of the type {kind}"]


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_no_kernels_elsewhere_than_on_a_gpu_of_nvidia(liger, device, monkeypatch):
    model = llama()
    before = state(model)
    assert not use_fused_kernels(model, torch.device(device))
    monkeypatch.setattr("torch.version.hip", "7.0")
    assert not use_fused_kernels(model, CUDA)
    assert state(model) == before


def test_without_the_package_the_log_says_how_to_get_it(caplog, monkeypatch):
    model = llama()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with caplog.at_level("INFO", logger="loragrid"):
        assert not use_fused_kernels(model, CUDA)
    assert caplog.messages == ["no fused kernels: the package liger-kernel is not installed (make extras)"]


def test_the_choice_of_kernels_makes_no_result_outdated():
    assert decisive(parse_training({"kernels": "none"})) == decisive(parse_training({"kernels": "auto"}))
