import logging

import pytest
import torch
from accelerate import Accelerator

from architectures import make_model
from loragrid.models.adapters import is_recordable
from loragrid.models.packed_attention import attends_by_varlen
from loragrid.training.batches import IGNORED, Encoded, collate_packed, fill_up
from loragrid.training.checkpoints import trained_weights
from loragrid.training.fused_loss import by_operators
from loragrid.training.gradients import accumulate_gradients, choose_layout, lay_out
from loragrid.training.graphs import MOST_WORK, Facts, RecordedPasses, can_record, facts_of, fits_twice
from loragrid.training.loop import make_learner, train
from loragrid.training.losses import LossPlan, SummedLoss
from loragrid.training.methods import LoraTraining, parse_training
from loragrid.training.settings import Seeds
from stand_ins import varlen_on_cpu

FUSED = LossPlan(2**16, by_operators)
CPU = torch.device("cpu")
CONFIG = LoraTraining(
    method="lora", rank=4, batch_size=4, learning_rate=0.01, epochs=4, max_length=512, target_modules=["q_proj", "down_proj"]
)
SEEDS = Seeds(adapter_init=1, data_order=2, mix=3)


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture(autouse=True)
def kernel():
    with varlen_on_cpu():
        yield


class Recorder:
    """Stands in for CUDA graphs: it computes anew on the same tensors."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, function):
        self.recorded += 1
        result = torch.zeros(())

        def replay():
            self.replayed += 1
            result.copy_(function())

        return replay, result


def adapted(config=CONFIG, **more):
    base = make_model("llama", **more)
    base.config.name_or_path = "tiny"
    model = config.make_trainable(base, 1)
    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model, choose_layout(model, config, CPU, pad=2, dtype=torch.bfloat16)


def examples(seed, number=4, tokens=30):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(tokens // 2, tokens, (number,), generator=generator).tolist()
    return [Encoded(torch.randint(3, 300, (n,), generator=generator).tolist(), n // 2) for n in lengths]


def recorded_passes(loss, record, most_tokens=10_000):
    def add_gradients(batch, weight):
        weighted = loss(batch) * weight
        weighted.backward()
        return weighted.detach()

    return RecordedPasses(add_gradients, record, CPU, most_tokens, longest=30, pad=2)


def step(loss, items, layout, accelerator, recorded=None):
    """The loss of a step, and its gradients."""
    for parameter in loss.parameters():
        parameter.grad = None if recorded is None or parameter.grad is None else parameter.grad.zero_()
    found = accumulate_gradients(loss, lay_out(items, layout, accelerator, recorded), accelerator, recorded).item()
    return found, {name: p.grad.clone() for name, p in loss.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("rows", [1, 3], ids=["one row a step", "several rows a step"])
def test_replayed_rows_give_the_losses_and_gradients_of_plain_rows(accelerator, rows):
    model, layout = adapted()
    assert attends_by_varlen(model)
    layout = layout._replace(max_tokens=10_000 if rows == 1 else 50)
    loss, record = SummedLoss(model, plan=FUSED), Recorder()
    recorded = recorded_passes(loss, record)
    nb_rows = 0
    for seed in range(4):
        items = examples(seed)
        nb_rows += len(lay_out(items, layout, accelerator).batches)
        expected, of_expected = step(loss, items, layout, accelerator)
        found, of_found = step(loss, items, layout, accelerator, recorded)
        assert found == pytest.approx(expected, rel=1e-5)
        assert max(float(gradient.abs().max()) for gradient in of_expected.values()) > 1e-3
        for name, gradient in of_expected.items():
            torch.testing.assert_close(of_found[name], gradient, rtol=1e-4, atol=1e-6)
    # All but the first of each shape: rows of one and of two examples.
    assert record.replayed == (3 if rows == 1 else nb_rows - 2)


def test_a_training_with_replayed_rows_ends_where_one_without_ends(accelerator, monkeypatch):
    monkeypatch.setattr("loragrid.training.loop.plan_loss", lambda *args: FUSED)
    weights, courses, places = [], [], []
    record = Recorder()
    for one in (None, record):
        model, layout = adapted()
        learner = make_learner(model, CONFIG, layout, accelerator)._replace(record=one)

        def note(row, model=model):
            places.append({p.grad.data_ptr() for p in trained_weights(model).values() if p.grad is not None})

        courses.append(train(learner, examples(0, 12), examples(1, 4), SEEDS, follow=note))
        weights.append(trained_weights(model))
    assert [row.train_loss for row in courses[1][1:]] == pytest.approx([row.train_loss for row in courses[0][1:]], rel=1e-4)
    assert courses[1][-1].train_loss < courses[1][1].train_loss
    assert courses[1][-1].validation_loss == pytest.approx(courses[0][-1].validation_loss, rel=1e-4)
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-3, atol=1e-4)
    assert record.replayed > 8
    # Gradients are where they were recorded, from step to step.
    assert places[-1]
    assert all(place == places[-1] for place in places[-12:])


def test_a_shape_is_computed_first_then_recorded_and_from_then_on_replayed():
    record, computed = Recorder(), []
    recorded = RecordedPasses(lambda batch, weight: computed.append(batch) or weight * 2, record, CPU, 1000, 30, 2)
    row = recorded.fill_up(collate_packed(examples(0), False))
    other = recorded.fill_up(collate_packed(examples(1, 5), False))
    told = []
    for batch, weight in ((row, 1.0), (other, 2.0), (row, 3.0), (row, 4.0), (other, 5.0)):
        assert recorded.run(batch, weight).item() == 2 * weight
        told.append((len(computed), record.recorded, record.replayed))
    assert told == [(1, 0, 0), (2, 0, 0), (3, 1, 1), (4, 1, 2), (5, 2, 3)]


def test_what_is_replayed_reads_the_new_row():
    seen = []
    recorded = RecordedPasses(lambda batch, weight: seen.append(batch.input_ids.clone()) or weight, Recorder(), CPU, 1000, 30, 2)
    rows = [recorded.fill_up(collate_packed([Encoded([*range(k, k + 20)], 5)], False)) for k in (3, 50, 90)]
    expected = [row.input_ids.clone() for row in rows]
    for row in rows:
        recorded.run(row, 1.0)
    assert all(torch.equal(one, other) for one, other in zip(seen, expected, strict=True))


def test_rows_that_keep_a_gpu_busy_are_neither_filled_up_nor_recorded():
    recorded = RecordedPasses(None, Recorder(), CPU, most_tokens=100, longest=30, pad=2)
    small, large = (collate_packed(examples(0, number), False) for number in (4, 12))
    assert large.input_ids.shape[1] > 100
    assert recorded.fill_up(large) is large
    assert not recorded.takes(large)
    assert recorded.takes(recorded.fill_up(small))
    assert MOST_WORK / 8e9 > 8 * 196
    assert MOST_WORK / 8e9 < 32 * 196


def test_where_recording_fails_passes_are_computed_as_usual_and_the_log_says_so_once(caplog):
    def fail(function):
        raise RuntimeError("operation not permitted when stream is capturing")

    recorded = RecordedPasses(lambda batch, weight: weight * 2, fail, CPU, 1000, 30, 2)
    with caplog.at_level(logging.INFO, logger="loragrid"):
        for number in (4, 4, 4, 5, 5, 5):
            assert recorded.run(recorded.fill_up(collate_packed(examples(0, number), False)), 3.0).item() == 6
    assert caplog.text.count("no more forward passes are recorded as CUDA graphs: operation not permitted") == 1


def test_where_memory_runs_out_in_recording_nothing_is_kept(monkeypatch):
    record, freed = Recorder(), []
    monkeypatch.setattr("loragrid.training.graphs.free_cached_memory", lambda: freed.append(1))
    recorded = RecordedPasses(lambda batch, weight: weight * 2, record, CPU, 1000, 30, 2)
    batches = [recorded.fill_up(collate_packed(examples(0, number), False)) for number in (4, 5)]
    for batch in (batches[0], batches[0], batches[1]):
        recorded.run(batch, 3.0)

    def fail(function):
        # As PyTorch does: the end of the recording fails too.
        raise RuntimeError("the recording failed") from torch.OutOfMemoryError("CUDA out of memory")

    recorded._record = fail
    for batch in batches:
        assert recorded.run(batch, 3.0).item() == 6
    assert not recorded._recordings
    assert len(freed) == 1


def test_graphs_need_as_much_memory_once_more_as_the_largest_pass():
    assert fits_twice(at_rest=20, peak=50, room=89)
    assert not fits_twice(at_rest=20, peak=50, room=88)


def test_only_plain_adapters_are_recorded():
    def with_adapter(**config):
        return is_recordable(parse_training(config).make_trainable(make_model("llama"), 1))

    assert is_recordable(make_model("llama"))
    assert with_adapter(method="lora", dora=True)
    assert not with_adapter(method="peft", config_class="LoHaConfig", settings={"target_modules": ["q_proj"]})


def test_only_so_many_shapes_are_recorded(monkeypatch):
    monkeypatch.setattr("loragrid.training.graphs.MOST_GRAPHS", 2)
    record = Recorder()
    recorded = RecordedPasses(lambda batch, weight: weight * 2, record, CPU, 1000, 30, 2)
    for number in (1, 2, 3) * 3:
        assert recorded.run(recorded.fill_up(collate_packed(examples(0, number), False)), 3.0).item() == 6
    assert (record.recorded, record.replayed) == (2, 4)


@pytest.mark.parametrize(
    ("tokens", "filled"), [(2, 256), (255, 256), (256, 512), (257, 512), (4000, 4096), (4096, 4608), (4609, 5120)]
)
def test_rows_are_filled_up_by_a_sequence_of_their_own(tokens, filled):
    row = collate_packed([Encoded([7] * tokens, 1)], False)
    found = fill_up(row, pad=2, longest=tokens)
    assert found.input_ids.shape == found.position_ids.shape == found.lengths.shape == (1, filled)
    assert found.input_ids[0, tokens:].eq(2).all()
    assert torch.equal(found.input_ids[:, :tokens], row.input_ids)
    assert found.bounds.tolist() == [0, tokens, filled]
    assert found.bounds.dtype == torch.int32
    # The kernel is told of no shorter longest sequence than there is, and of the same one in the whole training.
    assert found.longest >= max(tokens, filled - tokens)
    assert found.longest == fill_up(collate_packed([Encoded([7] * 5, 1)], False), 2, tokens).longest
    assert len(found.targets) % 256 == len(found.predicting) % 256 == 0
    assert found.targets[: tokens - 1].eq(7).all()
    assert found.targets[tokens - 1 :].eq(IGNORED).all()
    assert found.predicting.max() < tokens


def test_what_fills_up_a_row_may_be_longer_than_any_example():
    found = fill_up(collate_packed([Encoded([7] * 17, 1)] * 241, False), pad=2, longest=17)
    assert found.longest >= found.bounds.diff().max() > 256


FINE = Facts(True, True, True, True, False, False, False, False, True)


def test_passes_are_recorded_only_where_every_replay_is_right():
    assert can_record(FINE)
    for name, value in FINE._asdict().items():
        assert not can_record(FINE._replace(**{name: not value})), name


def test_a_model_and_its_training_tell_the_facts(accelerator):
    def facts(config=CONFIG, plan=FUSED, **more):
        return facts_of(adapted(config, **more)[0], config, accelerator, plan)

    fine = FINE._replace(on_gpu=False)
    assert facts() == fine
    assert facts(plan=LossPlan()) == fine._replace(fused_loss=False)
    assert facts(CONFIG.model_copy(update={"packing": "off"})) == fine._replace(by_varlen=False)
    for key, value in (("dropout", 0.1), ("neftune_alpha", 5.0)):
        assert facts(CONFIG.model_copy(update={key: value})) == fine._replace(draws_at_random=True)
    assert facts(CONFIG.model_copy(update={"gradient_checkpointing": True})) == fine._replace(recomputes=True)
    quantized, _ = adapted()
    quantized.get_base_model().hf_quantizer = object()
    assert facts_of(quantized, CONFIG, accelerator, FUSED) == fine._replace(is_quantized=True)
    for kind in ("mixtral", "granitemoe", "qwen2_moe"):
        assert facts_of(make_model(kind), CONFIG, accelerator, FUSED).has_experts
