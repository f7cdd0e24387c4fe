"""A run's gradients and steps among those of others are those that it has alone."""

import contextlib
import copy
import math

import pytest
import torch
from accelerate import Accelerator

from architectures import make_model
from loragrid.models.packed_attention import keep_examples_apart
from loragrid.models.several_adapters import SeveralAdapters, parts_of
from loragrid.training.batches import Encoded
from loragrid.training.fits_together import Facts, has_room, why_not_together
from loragrid.training.fused_loss import by_operators
from loragrid.training.gradients import Layout, accumulate_gradients, lay_out
from loragrid.training.graphs import RecordedPasses
from loragrid.training.losses import LossPlan, SummedLoss
from loragrid.training.methods import FullTraining, LoraTraining, PromptTuning
from loragrid.training.shared_steps import (
    LossOfEach,
    LossOfRun,
    OptimizerOfRun,
    StepOfRun,
    add_gradients,
    compute,
    lay_out_steps,
    read,
)
from stand_ins import varlen_on_cpu

CPU, PAD = torch.device("cpu"), 2
FUSED = LossPlan(2**12, by_operators)
CONFIGS = [
    LoraTraining(rank=4),
    LoraTraining(rank=8, alpha=32, rslora=True, target_modules=["q_proj", "v_proj"]),
    LoraTraining(rank=2, target_modules=["down_proj"], weight_decay=0.1),
]


def examples_of(run, number=4):
    draw = torch.Generator().manual_seed(run)
    lengths = torch.randint(9, 40, (number,), generator=draw).tolist()
    return [Encoded(torch.randint(3, 300, (length,), generator=draw).tolist(), length // 4) for length in lengths]


def models_of(dtype, varlen=False):
    """A base model, and a model with an adapter for each run."""
    base = make_model("llama").to(dtype).requires_grad_(False)
    with varlen_on_cpu() if varlen else contextlib.nullcontext():
        assert keep_examples_apart(base, "on", CPU, dtype)
    models = [config.make_trainable(copy.deepcopy(base), seed) for seed, config in enumerate(CONFIGS)]
    for seed, model in enumerate(models):
        torch.manual_seed(seed)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return base, models


def shared(base, models, dtype=torch.float32, plan=None):
    several = SeveralAdapters(base, map(parts_of, models), trained=True)
    places = [several.put(parts_of(model)) for model in models]
    return LossOfEach(base, several, dtype, plan or LossPlan()).train(), places


def alone(model, run, dtype, plan=None, max_tokens=80):
    """The loss of a run's step, and its gradients, computed by its own model."""
    accelerator, layout = Accelerator(cpu=True), Layout(max_tokens, packed=True, pad=PAD)
    model.zero_grad(set_to_none=True)
    step = lay_out(examples_of(run), layout, accelerator)
    loss = accumulate_gradients(SummedLoss(model, dtype, plan=plan).train(), step, accelerator).item()
    return loss, [weight.grad for part in parts_of(model).values() for weight in (part.a, part.b)]


def gradients_of(several, place, model):
    views = several.views(several.gradients[place.rows])
    return [tensor for name in parts_of(model) for tensor in views[name]]


def distance(one, other):
    """Of two lists of tensors, relative to the length of the second."""
    one, other = (torch.cat([tensor.flatten() for tensor in tensors]) for tensors in (one, other))
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize(
    ("dtype", "varlen"),
    [(torch.float32, False), (torch.float32, True), (torch.bfloat16, True)],
    ids=["by example", "kernel", "kernel, bfloat16"],
)
def test_gradients_in_a_shared_step_are_those_alone(dtype, varlen):
    base, models = models_of(dtype, varlen)
    plan = FUSED if varlen else None
    of_each, places = shared(base, models, dtype, plan)
    shares = [StepOfRun(place, examples_of(run)) for run, place in enumerate(places)]
    with varlen_on_cpu() if varlen else contextlib.nullcontext():
        in_one, in_several = ([alone(model, run, dtype, plan, n) for run, model in enumerate(models)] for n in (1000, 80))
        for max_tokens, nb_rows, expected in ((1000, 1, in_one), (80, 5, in_several)):
            rows = lay_out_steps(shares, max_tokens, of_each.several.nobody, PAD, 40 if varlen else None)
            assert len(rows) == nb_rows
            assert any(len({*row.owners.flatten().tolist()} - {of_each.several.nobody}) > 1 for row in rows)
            found = read(compute(of_each, rows, None), shares)
            for run, (model, place) in enumerate(zip(models, places, strict=True)):
                loss, its = expected[run]
                # Alone too, other passes round otherwise.
                rounding = distance(in_one[run][1], in_several[run][1])
                tolerance = 1e-5 if dtype == torch.float32 else 1e-3 if nb_rows == 1 else 2 * rounding
                assert rounding < 5e-3
                assert distance(gradients_of(of_each.several, place, model), its) < tolerance, run
                assert found[run].loss == pytest.approx(loss, rel=max(tolerance, 1e-5))
                assert found[run].norm == pytest.approx(math.hypot(*(g.norm().item() for g in its)), rel=max(tolerance, 1e-5))


def test_rows_of_several_runs_have_few_shapes_and_are_replayed():
    base, models = models_of(torch.bfloat16, varlen=True)
    of_each, places = shared(base, models, torch.bfloat16, FUSED)
    several = of_each.several
    shapes, replays, result = set(), [], torch.zeros(several.ranks + 1)

    def record(function):
        """Stands in for a CUDA graph: it computes anew on the same tensors."""
        return lambda: replays.append(result.copy_(function())), result

    recorded = RecordedPasses(lambda batch, _: add_gradients(of_each, batch), record, CPU, math.inf, 40, PAD)
    with varlen_on_cpu():
        for seed in range(4):
            shares = [StepOfRun(place, examples_of(3 * seed + run)) for run, place in enumerate(places)]
            rows = lay_out_steps(shares, 400, several.nobody, PAD, 40)
            shapes |= {(row.input_ids.shape[1], len(row.targets), len(row.bounds)) for row in rows}
            found = compute(of_each, rows, recorded)
            mine = several.gradients.clone()
            torch.testing.assert_close(found, compute(of_each, rows, None), rtol=1e-5, atol=0)
            torch.testing.assert_close(mine, several.gradients, rtol=1e-5, atol=0)
    assert shapes == {(300, 200, 32), (400, 300, 32)}
    assert len(replays) == 2


def test_steps_and_states_of_a_run_are_those_of_adamw_alone():
    base, models = models_of(torch.float32)
    (config, model), other = (CONFIGS[2], models[2]), copy.deepcopy(models[2])
    of_each, places = shared(base, models)
    mine = OptimizerOfRun(model, config)
    mine.take_rows(of_each.several, places[2])
    weights = [weight for weight in other.parameters() if weight.requires_grad]
    its = torch.optim.AdamW(weights, weight_decay=config.weight_decay)

    def step():
        compute(of_each, lay_out_steps([StepOfRun(places[2], examples_of(2))], 80, of_each.several.nobody, PAD, None), None)
        mine.step(0.01, of_each.several.gradients[places[2].rows].norm().item())
        alone(other, 2, torch.float32)
        torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
        its.param_groups[0]["lr"] = 0.01
        its.step()

    step()
    # Either goes on from the state of the other.
    first, second = copy.deepcopy(mine.state_dict()), copy.deepcopy(its.state_dict())
    its.load_state_dict(its.state_dict() | first)
    mine.load_state_dict(second)
    step()
    mine.release()
    of_each.several.take_away(places[2])
    for one, weight in zip((p for p in model.parameters() if p.requires_grad), weights, strict=True):
        assert one.is_contiguous()
        torch.testing.assert_close(one, weight, rtol=1e-4, atol=1e-5)


def test_validation_of_a_run_goes_through_its_own_adapter():
    base, models = models_of(torch.float32)
    of_each, places = shared(base, models)
    [batch] = lay_out_steps([StepOfRun(places[1], examples_of(1))], 1000, of_each.several.nobody, PAD, None)
    with torch.no_grad():
        expected = SummedLoss(models[1])(batch)
        assert LossOfRun(of_each, places[1].start)(batch).item() == pytest.approx(expected.item(), rel=1e-5)
        assert LossOfRun(of_each, places[0].start)(batch).item() != pytest.approx(expected.item(), rel=1e-3)


GPU = Facts("cuda")
ON = LoraTraining(together="on")


@pytest.mark.parametrize(
    ("config", "facts", "why"),
    [
        (LoraTraining(), GPU, ""),
        (LoraTraining(rslora=True, target_modules=["q_proj"]), GPU, ""),
        (ON, Facts("cpu"), ""),
        (LoraTraining(), Facts("cpu"), "on a CPU, together: auto gives the same bytes as a training alone"),
        (LoraTraining(together="off"), GPU, "together: off"),
        (FullTraining(method="full"), GPU, "only new adapters of LoRA share steps"),
        (PromptTuning(method="prompt_tuning"), GPU, "only new adapters of LoRA share steps"),
        (LoraTraining(dora=True), GPU, "dora: its magnitudes belong to the whole layer"),
        (LoraTraining(dropout=0.1), GPU, "dropout draws at random for all tokens of a row"),
        (LoraTraining(neftune_alpha=5), GPU, "neftune_alpha draws at random for all tokens of a row"),
        (LoraTraining(initialisation="pissa"), GPU, "initialisation: pissa changes the base model's weights"),
        (LoraTraining(quantization="4bit"), GPU, "quantization: its base model is quantized"),
        (LoraTraining(gradient_checkpointing=True), GPU, "gradient_checkpointing computes activations again"),
        (LoraTraining(packing="off"), GPU, "its examples are padded, not packed"),
        (LoraTraining(), GPU._replace(packed=False), "its examples are padded, not packed"),
        (LoraTraining(), GPU._replace(by_accelerate=True), "accelerate trains it in processes of its own"),
        (LoraTraining(), GPU._replace(trackers=["tensorboard"]), ""),
        (LoraTraining(), GPU._replace(trackers=["tensorboard", "wandb"]), "the tracker wandb follows one training at a time"),
        (LoraTraining(), GPU._replace(step_tokens=1568, row_tokens=8192, parameters=1_200_000_000), ""),
        (
            LoraTraining(),
            GPU._replace(step_tokens=6272, row_tokens=8192, parameters=1_200_000_000),
            "two of its steps (6272 tokens each) are more than one row (8192 tokens)",
        ),
        (
            LoraTraining(),
            GPU._replace(step_tokens=1568, row_tokens=8192, parameters=8_000_000_000),
            "its steps of 1568 tokens keep the device busy",
        ),
        (ON, GPU._replace(step_tokens=6272, row_tokens=8192, parameters=8_000_000_000), ""),
    ],
)
def test_what_cannot_share_steps_says_why(config, facts, why):
    assert why_not_together(config, facts) == why


def test_runs_join_as_long_as_a_row_holds_the_steps_of_all():
    assert has_room([], (9000, 64), 8192, 128)
    assert has_room([(4000, 8)], (4000, 8), 8192, 2048)
    assert not has_room([(4000, 8), (4000, 8)], (4000, 8), 8192, 2048)
    assert has_room([(100, 256)], (100, 256), 8192, 2048)
    assert not has_room([(100, 256), (100, 256)], (100, 8), 8192, 2048)
