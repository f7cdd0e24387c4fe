"""Runs that share their steps, on a GPU. Two equal trainings differ in bfloat16 there: see test_training.py."""

import contextlib
import copy
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from lab import PAD, adapt, make_examples, make_model
from loragrid.models.packed_attention import keep_examples_apart
from loragrid.models.several_adapters import SeveralAdapters, parts_of
from loragrid.training.batches import Encoded
from loragrid.training.fused_loss import by_operators
from loragrid.training.gradients import Layout, accumulate_gradients, lay_out
from loragrid.training.job import run_training
from loragrid.training.losses import LossPlan, SummedLoss
from loragrid.training.shared_steps import LossOfEach, StepOfRun, compute, lay_out_steps, read
from loragrid.training.together import Claimed, train_together
from trainings import changed, course


def encoded(seed, shape):
    return [Encoded(example["ids"], example["target_start"]) for example in make_examples(8, shape, seed)]


def apart(one, other):
    return float((one - other).norm() / other.norm())


def flat(tensors):
    return torch.cat([tensor.float().flatten() for tensor in tensors])


def test_gradients_of_a_run_do_not_depend_on_who_shares_its_row(shape, device, on_gpu, record_property):
    base = make_model(shape, device).requires_grad_(False)
    assert keep_examples_apart(base, "on", device, torch.bfloat16)
    plan = LossPlan(2**26, by_operators)
    shared = {id(weight): torch.nn.Parameter(weight.detach(), False) for weight in base.parameters()}
    models = [adapt(copy.deepcopy(base, dict(shared)), effect=0.02) for _ in range(3)]
    several = SeveralAdapters(base, map(parts_of, models), trained=True)
    places = [several.put(parts_of(model)) for model in models]
    of_each = LossOfEach(base, several, torch.bfloat16, plan).train()
    shares = [StepOfRun(place, encoded(seed, shape)) for seed, place in enumerate(places)]
    longest = max(len(example.ids) for share in shares for example in share.examples)
    [row] = lay_out_steps(shares, 2**14, several.nobody, PAD, longest)
    [found, *_] = read(compute(of_each, [row], None), shares)
    views = several.views(several.gradients[places[0].rows])
    mine = flat(tensor for name in parts_of(models[0]) for tensor in views[name])
    # The same row, of which the other runs have no share: all shapes are equal.
    only = torch.where(row.owners == places[0].start, row.owners, several.nobody)
    weights = torch.where(row.owners.flatten()[row.predicting] == places[0].start, row.weights, 0.0)
    compute(of_each, [row._replace(owners=only, weights=weights)], None)
    in_its_place = flat(tensor for name in parts_of(models[0]) for tensor in views[name])
    accelerator = Accelerator(cpu=not on_gpu)
    loss = SummedLoss(models[0], torch.bfloat16, plan=plan).train()
    alone = accumulate_gradients(loss, lay_out(shares[0].examples, Layout(2**14, True, PAD), accelerator), accelerator)
    by_itself = flat(weight.grad for part in parts_of(models[0]).values() for weight in (part.a, part.b))
    told = {"same shapes": apart(mine, in_its_place), "by itself": apart(mine, by_itself)}
    record_property("apart", told)
    print(told)
    assert told["same shapes"] < (5e-3 if on_gpu else 1e-3)
    # Matrix products of other shapes are rounded otherwise.
    assert told["by itself"] < (0.04 if on_gpu else 1e-3)
    assert found.loss == pytest.approx(float(alone), rel=2e-3)


def test_trainings_in_shared_steps_learn_what_they_learn_alone(make_job, device, on_gpu, caplog):
    jobs = []
    for seed, keys in enumerate([{}, {"rank": 2, "batch_size": 3}, {"rank": 2, "rslora": True}, {"rank": 4, "epochs": 6}], 1):
        job = make_job(f"run{seed}", **{"dropout": 0.0, "together": "on", "epochs": 8} | keys)
        run = job.settings.run._replace(config=f"run{seed}")
        settings = {"run": run, "model": job.settings.model.model_copy(update={"dtype": "bfloat16"})}
        jobs.append(changed(job, settings))
    waiting, errors = [Claimed(job) for job in jobs], []
    with caplog.at_level("INFO", logger="loragrid"):
        train_together(lambda: waiting.pop(0) if waiting else None, lambda _, error: errors.append(error))
    assert errors == [None] * 4
    assert not on_gpu or "forward passes are recorded as CUDA graphs" in "\n".join(caplog.messages)
    for job in jobs:
        alone = changed(job, folder=f"{job.folder}-alone", state=f"{job.state}-alone")
        run_training(alone, None)
        found, expected = (course(one)["train_loss"].dropna() for one in (job, alone))
        assert found.iloc[0] == pytest.approx(expected.iloc[0], rel=1e-2)
        assert found.iloc[-1] == pytest.approx(expected.iloc[-1], rel=0.1)
        with contextlib.closing(Path(job.folder, "manifest.json").open(encoding="utf-8")) as manifest:
            assert '"training_s"' in manifest.read()
