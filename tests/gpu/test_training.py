"""Training on a GPU. Tolerances follow from what was measured on an H200: see `Exactness` in tests/benchmarks/training/README.md.

Two equal trainings differ in bfloat16, whose attention in packed rows is not deterministic in its backward pass.
"""

import importlib.util
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy

from lab import PAD, adapt, make_examples, make_model
from loragrid.errors import UserError
from loragrid.inference.generation import generate_together
from loragrid.inference.protocol import Decoding
from loragrid.models.fused_kernels import use_fused_kernels
from loragrid.models.loading import load_base_model
from loragrid.models.packed_attention import attends_by_varlen
from loragrid.runtime.job import circumstances
from loragrid.training.batches import IGNORED, Encoded
from loragrid.training.fused_loss import by_liger, by_operators, choose_kernel, linear_cross_entropy
from loragrid.training.gradients import accumulate_gradients, choose_layout, lay_out
from loragrid.training.job import run_training
from loragrid.training.loop import Checkpoints, StoppedError, make_learner, train
from loragrid.training.losses import LossPlan
from loragrid.training.memory import lack_of_memory_told
from loragrid.training.methods import LoraTraining
from loragrid.training.settings import Seeds
from trainings import changed, course

SEEDS = Seeds(adapter_init=1, data_order=1, mix=1)
KEYS = {"learning_rate": 2e-3, "schedule": "constant", "evaluations": 0}
HAS_LIGER = importlib.util.find_spec("liger_kernel") is not None


def encoded(number, shape):
    return [Encoded(example["ids"], example["target_start"]) for example in make_examples(number, shape)]


def learner_of(model, device, dtype, **keys):
    """A model made ready as a job does it."""
    config = LoraTraining(**KEYS | keys)
    layout = choose_layout(model, config, device, PAD, dtype)
    return make_learner(model, config, layout, Accelerator(cpu=device.type == "cpu"), dtype)


def gradient(shape, device, dtype, plain_loss=False, one_by_one=False, **keys):
    """All gradients of one step of 8 examples as one float32 vector, and the loss."""
    base = make_model(shape, device, dtype)
    keys = {"kernels": "none"} | keys
    if keys["kernels"] == "auto":
        assert use_fused_kernels(base, device) == (HAS_LIGER and device.type == "cuda")
    model = adapt(base, effect=0.02)
    learner = learner_of(model, device, dtype, **keys)
    if plain_loss:
        learner.loss.plan = LossPlan()
    layout = learner.layout._replace(max_tokens=1) if one_by_one else learner.layout
    step = lay_out(encoded(8, shape), layout, learner.accelerator)
    loss = accumulate_gradients(learner.loss, step, learner.accelerator)
    return torch.cat([p.grad.float().flatten() for p in model.parameters() if p.grad is not None]), float(loss)


def apart(one, other):
    """The relative distance of two vectors."""
    return float((one - other).norm() / other.norm())


def test_float32_is_exact_in_every_layout(shape, device):
    padded, loss = gradient(shape, device, torch.float32, packing="off")
    for keys in ({"one_by_one": True, "packing": "off"}, {"packing": "on"}, {"plain_loss": True, "packing": "off"}):
        found, other = gradient(shape, device, torch.float32, **keys)
        assert apart(found, padded) < 1e-4, keys
        assert other == pytest.approx(loss, rel=1e-5), keys


WAYS = {
    "packed": {"packing": "auto", "kernels": "none"},
    "packed, Liger's kernels": {"packing": "auto", "kernels": "auto"},
    "packed, loss not fused": {"packing": "auto", "kernels": "none", "plain_loss": True},
    "padded, Liger's kernels": {"packing": "off", "kernels": "auto"},
}


def test_bfloat16_is_as_near_to_float32_in_every_way_as_it_is_padded(shape, device, on_gpu):
    exact, loss = gradient(shape, device, torch.float32, packing="off", kernels="none")
    padded, _ = gradient(shape, device, torch.bfloat16, packing="off", kernels="none", plain_loss=True)
    rounding = apart(padded, exact)
    assert 0 < rounding < (0.04 if on_gpu else 0.1)
    for name, keys in WAYS.items():
        found, other = gradient(shape, device, torch.bfloat16, **keys)
        assert apart(found, exact) < 1.25 * rounding, name
        assert apart(found, padded) < 1.5 * rounding, name
        assert other == pytest.approx(loss, rel=2e-3), name


def test_rows_are_packed_through_the_kernel_in_bfloat16_and_padded_in_float32(device, on_gpu):
    for dtype in (torch.bfloat16, torch.float32):
        model = adapt(make_model("tiny", device, dtype))
        layout = choose_layout(model, LoraTraining(), device, PAD, dtype)
        by_kernel = dtype == torch.bfloat16 or not on_gpu
        assert layout.packed == by_kernel
        assert attends_by_varlen(model.get_base_model()) == by_kernel


def test_fused_loss_is_the_plain_loss(device, on_gpu):
    rows, width, vocabulary = (3000, 2048, 128256) if on_gpu else (30, 32, 512)
    dtype = torch.bfloat16
    torch.manual_seed(0)
    hidden = torch.randn(rows, width, device=device, dtype=dtype, requires_grad=True)
    weight = 0.02 * torch.randn(vocabulary, width, device=device, dtype=dtype)
    targets = torch.randint(vocabulary, (rows,), device=device)
    exact = hidden.detach().float().requires_grad_()
    parts = [
        cross_entropy(exact[i : i + 500] @ weight.float().t(), targets[i : i + 500], reduction="sum") for i in range(0, rows, 500)
    ]
    expected = torch.stack(parts).sum()
    (wanted,) = torch.autograd.grad(expected, exact)
    kernel = choose_kernel(vocabulary, device, dtype)
    assert kernel is (by_liger if on_gpu and HAS_LIGER else by_operators)
    more = torch.cat([targets, torch.full((7,), IGNORED, device=device)])
    for one in {kernel, by_operators}:
        padded = torch.cat([hidden, hidden[:7]])
        found = linear_cross_entropy(padded, weight, None, more, 2**26, one, dtype)
        (given,) = torch.autograd.grad(found, hidden)
        assert float(found) == pytest.approx(float(expected), rel=1e-3)
        assert apart(given.float(), wanted) < 0.004


def trained(shape, device, examples, learner=None, dtype=torch.bfloat16, recorded=True, **more):
    """The training losses of a fresh model."""
    keys = {"batch_size": 4, "max_steps": 12} | more.pop("keys", {})
    model = adapt(make_model(shape, device, dtype))
    learner = learner_of(model, device, dtype, **keys)
    if not recorded:
        learner = learner._replace(record=None)
    return learner, [row.train_loss for row in train(learner, examples, [], SEEDS, **more)[1:]]


def test_recorded_steps_learn_what_steps_one_by_one_do(device, on_gpu, small):
    # So few examples that shapes come back.
    examples = encoded(8, small)
    learner, expected = trained(small, device, examples, recorded=False)
    other, found = trained(small, device, examples)
    assert found == pytest.approx(expected, rel=1e-2)
    assert found[-1] < found[0]
    if on_gpu:
        assert other.record is not None
        assert learner.record is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stopped_training_goes_on_to_the_same_loss(device, tmp_path, dtype, small):
    examples = encoded(16, small)
    _, expected = trained(small, device, examples, dtype=dtype)
    seen = []

    def reason() -> str:
        seen.append(None)
        return "SIGTERM" if len(seen) == 5 else ""

    with pytest.raises(StoppedError, match="after step 5 of 12"):
        trained(small, device, examples, dtype=dtype, checkpoints=Checkpoints(tmp_path, 60.0, reason))
    _, found = trained(small, device, examples, dtype=dtype, checkpoints=Checkpoints(tmp_path, 60.0))
    assert len(found) == 12
    assert found == pytest.approx(expected, rel=1e-4 if dtype == torch.float32 else 1e-2)


def test_gradient_checkpointing_needs_less_memory_for_the_same_loss(device, on_gpu, small):
    examples, peaks, losses = encoded(16, small), [], []
    for checkpointing in (False, True):
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        keys = {"keys": {"gradient_checkpointing": checkpointing, "batch_size": 16, "max_steps": 3}}
        losses.append(trained(small, device, examples, **keys)[1])
        peaks.append(circumstances(0.0, "", "", 1).get("peak_gpu_memory_mb", 0))
    assert losses[1] == pytest.approx(losses[0], rel=5e-3)
    assert peaks[1] < peaks[0] or not on_gpu


@pytest.fixture
def small_folder(tmp_path, small):
    """A model of the shape `small` on disk."""
    folder = tmp_path / "small"
    make_model(small, torch.device("cpu"), torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_quantized_base_trains_and_predicts(device, small, small_folder, quantization, checkpointing):
    pytest.importorskip("bitsandbytes")
    base = load_base_model(small_folder, "bfloat16", quantization, device)
    model = LoraTraining().make_trainable(base, 1)
    keys = {"batch_size": 8, "max_steps": 10, "gradient_checkpointing": checkpointing}
    learner = learner_of(model, device, torch.bfloat16, **keys)
    rows = train(learner, encoded(8, small), [], SEEDS)
    assert rows[-1].train_loss < rows[1].train_loss
    prompts = [example.ids[:20] for example in encoded(3, small)]
    answers = generate_together(model.eval(), prompts, [0] * 3, Decoding(8), [], PAD, lambda ids: False)
    assert [len(answer.token_ids) for answer in answers] == [8] * 3


def test_lack_of_memory_is_a_sentence(device, on_gpu, monkeypatch, small):
    model = adapt(make_model(small, device))
    learner = learner_of(model, device, torch.bfloat16, batch_size=256)
    if on_gpu:
        torch.cuda.empty_cache()
        allowed = torch.cuda.memory_reserved() + 2**24
        torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
    else:
        monkeypatch.setattr(learner.loss, "forward", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory")))
    try:
        with (
            pytest.raises(UserError, match=r"^memory runs out on .*: lower micro_batch_tokens \(now \d+\)"),
            lack_of_memory_told(learner.config, learner.layout.max_tokens, device),
        ):
            train(learner, encoded(256, small), [], SEEDS)
    finally:
        if on_gpu:
            torch.cuda.set_per_process_memory_fraction(1.0)


def test_job_tells_the_device_and_its_memory(device, on_gpu, make_job):
    job = make_job("whole", dropout=0.0)
    job = changed(job, {"model": job.settings.model.model_copy(update={"dtype": "auto"})})
    run_training(job, None)
    manifest = (Path(job.folder) / "manifest.json").read_text(encoding="utf-8")
    assert course(job)["train_loss"].dropna().iloc[-1] < course(job)["train_loss"].dropna().iloc[0]
    assert ('"peak_gpu_memory_mb"' in manifest) == on_gpu
    assert f'"device": "{torch.cuda.get_device_name() if on_gpu else "cpu"}"' in manifest
