import csv
import hashlib
import json
import math

import pytest
import torch
from accelerate import Accelerator

from architectures import make_model
from loragrid.data.render import make_renderer
from loragrid.data.tokens import Tokenised, tokenise
from loragrid.errors import StoppedError, UserError
from loragrid.models.adapters import save_adapter
from loragrid.models.loading import load_base_model
from loragrid.models.packed_attention import can_share_beginnings, keep_examples_apart
from loragrid.patches.transformers_dynamic_rope import forget_longest_sequence
from loragrid.training import loop
from loragrid.training.batches import Encoded, common_beginning, encode
from loragrid.training.checkpoints import trained_weights
from loragrid.training.gradients import Layout, accumulate_gradients, choose_layout, forward_passes, lay_out, mean_loss
from loragrid.training.loop import Checkpoints, make_learner, train, write_course
from loragrid.training.losses import SummedLoss, cross_entropy
from loragrid.training.methods import FullTraining, LoraTraining
from loragrid.training.settings import Seeds

CONFIG = LoraTraining(rank=4, batch_size=4, learning_rate=0.01, epochs=2, max_length=512)
SEEDS = Seeds(adapter_init=1, data_order=2, mix=3)
PADDED, PACKED = Layout(1024, packed=False, pad=2), Layout(1024, packed=True, pad=2)
SHARED = PACKED._replace(shared=True)


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator()


@pytest.fixture
def encoded(tokenizer, make_example):
    return encode_all(tokenizer, make_example, "completion")


def encode_all(tokenizer, make_example, loss_computation):
    renderer = make_renderer(tokenizer)
    examples = [make_example(str(i), input="word " * (3 * i), output=f"answer {'x ' * (i % 3)}{i}") for i in range(10)]
    rows = tokenise(renderer, {"train": examples}).to_pylist()
    tokenised = {r["id"]: [Tokenised(r["prompt_ids"], r["answer_ids"])] for r in rows}
    return encode(renderer, examples, tokenised, loss_computation, 512)[0]


def adapted(folder, seed=1, config=CONFIG, packed=False):
    base = load_base_model(folder, "float32")
    assert keep_examples_apart(base, "on" if packed else "off", torch.device("cpu"), torch.float32) is packed
    model = config.make_trainable(base, seed)
    # A fresh adapter changes nothing, and half of its gradients are zero.
    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).detach().abs().max()) for name in one)


def loss_of_step(model, items, layout, accelerator):
    """Gradients are added."""
    return accumulate_gradients(model, lay_out(items, layout, accelerator), accelerator).item()


def mean_loss_by_hand(model, items):
    """Full logits, one example at a time."""
    losses = []
    for item in items:
        logits = model(input_ids=torch.tensor([item.ids])).logits[0]
        targets = torch.tensor(item.ids[item.target_start :])
        losses.append(torch.nn.functional.cross_entropy(logits[item.target_start - 1 : -1], targets, reduction="none"))
    return torch.cat(losses).mean()


@pytest.mark.parametrize("loss_computation", ["completion", "full"])
@pytest.mark.parametrize(
    "layout",
    [
        PADDED,
        PADDED._replace(max_tokens=1),
        PADDED._replace(max_tokens=100_000),
        PACKED,
        PACKED._replace(max_tokens=200),
        SHARED,
        SHARED._replace(max_tokens=120),
    ],
    ids=["padded", "one by one", "all in one", "packed", "packed in several rows", "shared", "shared in several rows"],
)
def test_gradients_are_those_of_full_logits_however_a_step_is_laid_out(
    tiny_model, tokenizer, make_example, accelerator, loss_computation, layout
):
    items = encode_all(tokenizer, make_example, loss_computation)[:8]
    reference = adapted(tiny_model)
    expected = mean_loss_by_hand(reference, items)
    expected.backward()
    model = adapted(tiny_model, packed=layout.packed)
    loss = loss_of_step(SummedLoss(model), items, layout, accelerator)
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    assert largest_difference(gradients(reference), gradients(model)) < 1e-5
    assert max(float(g.abs().max()) for g in gradients(model).values()) > 1e-3
    assert mean_loss(SummedLoss(model), items, layout, accelerator) == pytest.approx(expected.item(), rel=1e-6)


def test_packed_examples_do_not_see_each_other(tiny_model, encoded, accelerator):
    model = SummedLoss(adapted(tiny_model, packed=True))
    alone = mean_loss(model, encoded[5:6], PACKED, accelerator)
    together = mean_loss(model, encoded[4:6], PACKED, accelerator)
    other = [Encoded([7] * len(encoded[4].ids), encoded[4].target_start), encoded[5]]
    n, m = encoded[5].nb_targets, encoded[4].nb_targets
    assert together == pytest.approx((alone * n + mean_loss(model, encoded[4:5], PACKED, accelerator) * m) / (n + m), rel=1e-6)
    assert mean_loss(model, other, PACKED, accelerator) == pytest.approx(
        (alone * n + mean_loss(model, other[:1], PACKED, accelerator) * m) / (n + m), rel=1e-6
    )


def test_what_examples_begin_with_is_computed_once_for_all(tiny_model, encoded, accelerator):
    model = adapted(tiny_model, packed=True)
    computed = []
    model.get_input_embeddings().register_forward_hook(lambda module, inputs, output: computed.append(inputs[0].numel()))
    for layout in (PACKED, SHARED):
        mean_loss(SummedLoss(model), encoded[:4], layout, accelerator)
    in_common = len(common_beginning([item.shareable for item in encoded[:4]]))
    assert in_common > 20
    assert computed == [sum(len(item.ids) for item in encoded[:4]), sum(len(item.ids) for item in encoded[:4]) - 3 * in_common]


def test_beginnings_are_not_shared_where_dropout_differs_between_examples(tiny_model, gpt2):
    assert can_share_beginnings(adapted(tiny_model, packed=True))
    assert not can_share_beginnings(adapted(tiny_model, packed=False))
    assert not can_share_beginnings(adapted(tiny_model, config=CONFIG.model_copy(update={"dropout": 0.1}), packed=True))
    base = load_base_model(gpt2, "float32")
    keep_examples_apart(base, "on", torch.device("cpu"), torch.float32)
    base.config.attn_pdrop = 0.1
    assert not can_share_beginnings(base)
    without_modules = adapted(tiny_model, packed=True)
    without_modules.config.attention_dropout = 0.1
    assert not can_share_beginnings(without_modules)


def test_adapters_get_their_inputs_in_the_type_of_the_matrix_products(tiny_model, encoded, accelerator):
    model = adapted(tiny_model)
    kinds = set()
    for name, module in model.named_modules():
        if name.endswith("o_proj.lora_A.default"):
            module.register_forward_pre_hook(lambda module, inputs: kinds.add(inputs[0].dtype))
    mean_loss(SummedLoss(model, torch.bfloat16), encoded[:2], PADDED, accelerator)
    assert kinds == {torch.bfloat16}


@pytest.mark.parametrize("window", [4, 1000])
@pytest.mark.parametrize("layout", [PACKED, SHARED])
def test_packed_examples_keep_to_the_window_of_a_model(tokenizer, encoded, accelerator, window, layout):
    from transformers import MistralConfig, MistralForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    model = MistralForCausalLM(
        MistralConfig(vocab_size=len(tokenizer), num_key_value_heads=2, sliding_window=window, initializer_range=0.2, **shape)
    ).eval()
    expected = mean_loss_by_hand(model, encoded[:4]).item()
    assert keep_examples_apart(model, "auto", torch.device("cpu"), torch.float32)
    assert mean_loss(SummedLoss(model), encoded[:4], layout, accelerator) == pytest.approx(expected, rel=1e-5)


LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [9.0] * 4, "rope_theta": 1e4}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("phi3", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 12, "max_position_embeddings": 64}),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}, "max_position_embeddings": 12},
        ),
    ],
)
def test_gradients_of_an_example_depend_on_no_longer_one_where_positions_stretch(kind, more, accelerator):
    # Up to 12 tokens, the encoding of positions is as it is.
    items = [Encoded([3 + i, *range(20, 20 + length)], 2) for i, length in enumerate((6, 9, 17, 17, 21))]
    reference = make_model(kind, **more)
    losses = []
    for item in items:
        # One that has seen nothing else, with the same weights.
        alone = make_model(kind, **more)
        losses.append(mean_loss_by_hand(alone, [item]) * item.nb_targets)
        losses[-1].backward()
        for parameter, of_alone in zip(reference.parameters(), alone.parameters(), strict=True):
            of_item = of_alone.grad / sum(item.nb_targets for item in items)
            parameter.grad = of_item if parameter.grad is None else parameter.grad + of_item
    model = make_model(kind, **more)
    forget_longest_sequence(model)
    layout = choose_layout(model, CONFIG, torch.device("cpu"), pad=2, dtype=torch.float32)
    assert not layout.packed
    passes = [[len(item.ids) for item in one.examples] for one in forward_passes(items, layout, accelerator)]
    assert sorted(map(sorted, passes)) == ([[7, 10], [18, 18, 22]] if kind == "phi3" else [[7, 10], [18, 18], [22]])
    loss = loss_of_step(SummedLoss(model), items, layout, accelerator)
    assert loss == pytest.approx(sum(losses).item() / sum(item.nb_targets for item in items), rel=1e-5)
    assert largest_difference(gradients(reference), gradients(model)) < 1e-4


@pytest.mark.parametrize("kind", ["lfm2", "qwen2_moe"])
def test_examples_of_a_model_that_cannot_be_packed_are_padded_and_stay_apart(kind, accelerator):
    more = {"layer_types": ["conv" if kind == "lfm2" else "sliding_attention", "full_attention"]}
    more |= {"use_sliding_window": True} if kind == "qwen2_moe" else {}
    items = [Encoded([3 + i, *range(20, 20 + length)], 2) for i, length in enumerate((6, 9, 17))]
    reference, model = make_model(kind, **more), make_model(kind, **more)
    expected = mean_loss_by_hand(reference, items)
    expected.backward()
    layout = choose_layout(model, CONFIG.model_copy(update={"packing": "on"}), torch.device("cpu"), pad=2, dtype=torch.float32)
    assert not layout.packed
    assert loss_of_step(SummedLoss(model), items, layout, accelerator) == pytest.approx(expected.item(), rel=1e-5)
    assert largest_difference(gradients(reference), gradients(model)) < 1e-4


def test_examples_stand_apart_in_another_architecture(gpt2, encoded, accelerator):
    model = load_base_model(gpt2, "float32")
    expected = mean_loss_by_hand(model, encoded[:4]).item()
    assert keep_examples_apart(model, "auto", torch.device("cpu"), torch.float32)
    assert mean_loss(SummedLoss(model), encoded[:4], PACKED, accelerator) == pytest.approx(expected, rel=1e-5)


def test_logits_are_computed_for_targets_only(tiny_model, encoded, accelerator):
    model = adapted(tiny_model)
    rows = []
    model.get_base_model().lm_head.register_forward_hook(lambda module, inputs, output: rows.append(output.shape[-2]))
    mean_loss(SummedLoss(model), encoded, PADDED, accelerator)
    assert sum(rows) == sum(item.nb_targets for item in encoded)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cross_entropy_in_chunks_is_that_of_pytorch(dtype):
    three_rows = 3 * 50
    torch.manual_seed(0)
    logits = torch.randn(10, 50).to(dtype).requires_grad_()
    targets = torch.randint(50, (10,))
    expected = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
    (wanted,) = torch.autograd.grad(3 * expected, logits)
    found = cross_entropy(logits * 1, targets, three_rows)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(3 * found, logits)[0], wanted, rtol=1e-2 if dtype != torch.float32 else 1e-5, atol=1e-6
    )
    with torch.no_grad():
        torch.testing.assert_close(cross_entropy(logits, targets, three_rows), expected.detach())


def run(tiny_model, encoded, accelerator, config=CONFIG, seeds=SEEDS, validation=None, **options):
    base = load_base_model(tiny_model, "float32")
    base.config.name_or_path = "results/models/tiny"
    model = config.make_trainable(base, seeds.adapter_init)
    validation = encoded[8:] if validation is None else validation
    learner = make_learner(model, config, PADDED, accelerator)
    return model, train(learner, encoded[:8], validation, seeds, **options)


def saved_bytes(model, folder):
    save_adapter(model, folder)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_same_run_twice_gives_the_same_bytes(tiny_model, encoded, accelerator, tmp_path):
    config = CONFIG.model_copy(update={"dropout": 0.1, "neftune_alpha": 5.0})
    first = saved_bytes(run(tiny_model, encoded, accelerator, config)[0], tmp_path / "1")
    torch.manual_seed(99)
    second = saved_bytes(run(tiny_model, encoded, accelerator, config)[0], tmp_path / "2")
    assert first == second
    assert set(first) == {"adapter_config.json", "adapter_model.safetensors"}
    # peft keeps these names in a set, whose order differs from process to process.
    modules = json.loads((tmp_path / "1" / "adapter_config.json").read_text())["target_modules"]
    assert len(modules) == 2 * 7
    assert modules == sorted(modules)


def test_seeds_of_initialisation_and_order_change_only_what_they_should(tiny_model, encoded, accelerator, tmp_path):
    def init(seed):
        model = CONFIG.make_trainable(load_base_model(tiny_model, "float32"), seed)
        return {n: p.clone() for n, p in model.named_parameters() if "lora" in n}

    assert largest_difference(init(1), init(1)) == 0
    assert largest_difference(init(1), init(2)) > 0
    model, course = run(tiny_model, encoded, accelerator)
    reordered, other_course = run(tiny_model, encoded, accelerator, seeds=SEEDS.model_copy(update={"data_order": 9}))
    remixed, _ = run(tiny_model, encoded, accelerator, seeds=SEEDS.model_copy(update={"mix": 9}))
    reference = saved_bytes(model, tmp_path / "a")
    assert reference["adapter_model.safetensors"] != saved_bytes(reordered, tmp_path / "b")["adapter_model.safetensors"]
    assert course[0].validation_loss == other_course[0].validation_loss
    assert reference == saved_bytes(remixed, tmp_path / "c")


def test_training_lowers_both_losses_and_changes_the_adapter_only(tiny_model, encoded, accelerator):
    config = CONFIG.model_copy(update={"epochs": 20, "learning_rate": 0.02})
    before = {name: p.clone() for name, p in load_base_model(tiny_model, "float32").named_parameters()}
    model, course = run(tiny_model, encoded, accelerator, config, validation=encoded[:2])
    assert course[-1].train_loss < 0.7 * course[1].train_loss
    assert course[-1].validation_loss < 0.7 * course[0].validation_loss
    assert [row.step for row in course] == list(range(41))
    assert course[-1].tokens == 20 * sum(len(e.ids) for e in encoded[:8])
    frozen = {
        n.replace("base_model.model.", "").replace(".base_layer", ""): p
        for n, p in model.named_parameters()
        if not p.requires_grad
    }
    assert all(torch.equal(frozen[name], p) for name, p in before.items())


def test_full_fine_tuning_changes_all_weights(tiny_model, encoded, accelerator):
    before = {name: p.clone() for name, p in load_base_model(tiny_model, "float32").named_parameters()}
    model, course = run(tiny_model, encoded, accelerator, FullTraining(method="full", learning_rate=0.01, batch_size=4, epochs=4))
    assert course[-1].train_loss < course[1].train_loss
    assert not any(torch.equal(before[name], p) for name, p in model.named_parameters())


def without_seconds(course):
    return [row._replace(seconds=0) for row in course]


@pytest.mark.parametrize("keep", ["last", "best"])
def test_training_that_dies_at_any_step_goes_on_to_the_same_end(tiny_model, encoded, accelerator, tmp_path, keep):
    config = CONFIG.model_copy(update={"dropout": 0.1, "neftune_alpha": 5.0, "keep": keep, "validate_every": 1, "epochs": 3})
    whole, course = run(tiny_model, encoded, accelerator, config)
    expected = saved_bytes(whole, tmp_path / "whole")
    for stop in range(1, 6):
        checkpoints = Checkpoints(tmp_path / f"state{stop}", minutes=0)

        def die(row, stop=stop):
            if row.step == stop + 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(tiny_model, encoded, accelerator, config, checkpoints=checkpoints, follow=die)
        seen = []
        resumed, rest = run(tiny_model, encoded, accelerator, config, checkpoints=checkpoints, follow=seen.append)
        assert seen[0].step == stop + 1
        assert without_seconds(rest) == without_seconds(course)
        assert saved_bytes(resumed, tmp_path / f"{stop}") == expected


def test_training_stops_early_when_validation_no_longer_gains_and_keeps_the_best(tiny_model, encoded, accelerator):
    # Validated on tokens that training makes less and less likely.
    spoiled = [Encoded([*e.ids[: e.target_start], *([77] * e.nb_targets)], e.target_start) for e in encoded[:2]]
    keys = {"epochs": 20, "validate_every": 1, "patience": 3, "learning_rate": 0.05, "keep": "best"}
    model, course = run(tiny_model, encoded, accelerator, CONFIG.model_copy(update=keys), validation=spoiled)
    validated = [row.validation_loss for row in course]
    best = min(validated)
    assert len(course) < 41
    assert len(course) - 1 - validated.index(best) == 3
    assert mean_loss(SummedLoss(model), spoiled, PADDED, accelerator) == pytest.approx(best, rel=1e-6)
    last, _ = run(tiny_model, encoded, accelerator, CONFIG.model_copy(update=keys | {"keep": "last"}), validation=spoiled)
    assert mean_loss(SummedLoss(last), spoiled, PADDED, accelerator) == pytest.approx(validated[-1], rel=1e-6)


def validated_as(monkeypatch, losses):
    """Let the validations of a training give these losses, one after the other."""
    given = iter(losses)
    monkeypatch.setattr("loragrid.training.loop.mean_loss", lambda *args: next(given))


@pytest.mark.parametrize(
    ("losses", "best_step"), [((2.0, math.nan, 1.5, math.nan, 1.8), 2), ((math.nan, 1.0, math.inf, 2, 2), 1)]
)
def test_validation_loss_that_is_no_number_is_never_the_best(tiny_model, encoded, accelerator, monkeypatch, losses, best_step):
    weights = []

    def keep_weights(row):
        weights.append({name: p.detach().clone() for name, p in trained_weights(learner.model).items()})

    config = CONFIG.model_copy(update={"keep": "best", "validate_every": 1})
    model = config.make_trainable(load_base_model(tiny_model, "float32"), SEEDS.adapter_init)
    learner = make_learner(model, config, PADDED, accelerator)
    validated_as(monkeypatch, losses)
    train(learner, encoded[:8], encoded[8:], SEEDS, follow=keep_weights)
    assert largest_difference(trained_weights(model), weights[best_step]) == 0
    assert largest_difference(trained_weights(model), weights[-1]) > 0


def test_validation_loss_that_is_no_number_is_no_gain(tiny_model, encoded, accelerator, monkeypatch):
    config = CONFIG.model_copy(update={"patience": 2, "validate_every": 1, "epochs": 20})
    validated_as(monkeypatch, [2.0, 1.0, math.nan, math.nan])
    assert len(run(tiny_model, encoded, accelerator, config)[1]) == 4


@pytest.mark.parametrize("keep", ["last", "best"])
def test_training_whose_validation_loss_is_never_a_number_fails(tiny_model, encoded, accelerator, monkeypatch, keep):
    config = CONFIG.model_copy(update={"keep": keep, "validate_every": 1})
    validated_as(monkeypatch, [math.nan, math.nan, math.inf, math.nan, math.nan])
    with pytest.raises(UserError, match="the validation loss was never a finite number: try dtype float32"):
        run(tiny_model, encoded, accelerator, config)


@pytest.mark.parametrize("keys", [{"keep": "best"}, {"patience": 2}])
def test_early_stopping_without_validation_examples_fails_with_a_sentence(tiny_model, encoded, accelerator, keys):
    with pytest.raises(UserError, match="need validation examples, and the mix has none: set its nb_validation"):
        run(tiny_model, encoded, accelerator, CONFIG.model_copy(update=keys), validation=[])


def test_without_validation_examples_there_is_no_validation_loss(tiny_model, encoded, accelerator, tmp_path):
    _, course = run(tiny_model, encoded, accelerator, validation=[])
    assert all(row.validation_loss is None for row in course)
    write_course(tmp_path / "loss.csv", course)
    with open(tmp_path / "loss.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "epoch", "train_loss", "validation_loss", "learning_rate", "tokens", "seconds"]
    assert len(rows) == len(course)


def test_gradient_checkpointing_changes_nothing_but_memory(tiny_model, encoded, accelerator):
    plain = run(tiny_model, encoded, accelerator)[1]
    config = CONFIG.model_copy(update={"gradient_checkpointing": True})
    model, course = run(tiny_model, encoded, accelerator, config)
    recomputed = [module for module in model.modules() if getattr(module, "gradient_checkpointing", False)]
    assert recomputed
    assert [row.train_loss for row in course[1:]] == pytest.approx([row.train_loss for row in plain[1:]], rel=1e-6)


def test_neftune_adds_noise_in_training_only_and_as_much_as_it_says(tiny_model, encoded, accelerator):
    model = adapted(tiny_model)
    added = []
    plain, noisy = SummedLoss(adapted(tiny_model)), SummedLoss(model, neftune_alpha=5.0)
    embeddings = model.get_base_model().get_input_embeddings()
    embeddings.register_forward_hook(lambda module, inputs, output: added.append((output - module.weight[inputs[0]]).detach()))
    noisy.eval()
    assert mean_loss(noisy, encoded[:2], PADDED, accelerator) == mean_loss(plain.eval(), encoded[:2], PADDED, accelerator)
    noisy.train()
    loss_of_step(noisy, encoded[3:4], PADDED, accelerator)
    assert float(added[0].abs().max()) == 0
    limit = 5 / (len(encoded[3].ids) * 32) ** 0.5
    assert 0.95 * limit < float(added[-1].abs().max()) <= limit


def test_the_next_step_is_laid_out_before_the_loss_of_a_step_is_read(tiny_model, encoded, accelerator, monkeypatch):
    done = []

    def noted(name):
        usual = getattr(loop, name)
        monkeypatch.setattr(loop, name, lambda *args: done.append(name) or usual(*args))

    for name in ("lay_out", "_take_step", "_finite"):
        noted(name)
    run(tiny_model, encoded, accelerator)
    assert done == ["lay_out", *["_take_step", "lay_out", "_finite"] * 3, "_take_step", "_finite"]


@pytest.mark.parametrize("saved_by_fused", [False, True])
def test_a_state_is_taken_up_by_the_other_implementation_of_the_optimiser(
    tiny_model, encoded, accelerator, tmp_path, saved_by_fused
):
    def learner_with(fused):
        model = CONFIG.make_trainable(load_base_model(tiny_model, "float32"), SEEDS.adapter_init)
        learner = make_learner(model, CONFIG, PADDED, accelerator)
        optimizer = torch.optim.AdamW(trained_weights(model).values(), weight_decay=0.0, fused=fused)
        return learner._replace(optimizer=accelerator.prepare(optimizer))

    whole = learner_with(False)
    train(whole, encoded[:8], [], SEEDS)
    (tmp_path / "state").mkdir()
    reasons = iter(["", "a test"])
    with pytest.raises(StoppedError, match="after step 2"):
        train(learner_with(saved_by_fused), encoded[:8], [], SEEDS, Checkpoints(tmp_path / "state", 60, lambda: next(reasons)))
    other = learner_with(not saved_by_fused)
    course = train(other, encoded[:8], [], SEEDS, Checkpoints(tmp_path / "state", 60))
    assert [row.step for row in course] == [0, 1, 2, 3, 4]
    for name, weight in trained_weights(whole.model).items():
        torch.testing.assert_close(trained_weights(other.model)[name], weight, rtol=1e-4, atol=1e-6)
    assert {float(state["step"]) for state in other.optimizer.state.values()} == {4.0}


def test_training_that_diverges_fails_with_a_sentence(tiny_model, encoded, accelerator):
    config = CONFIG.model_copy(update={"learning_rate": 1e30, "max_grad_norm": None})
    with pytest.raises(UserError, match=r"training loss is (nan|inf) at step \d: try a lower learning_rate"):
        run(tiny_model, encoded, accelerator, config)


@pytest.mark.parametrize("train_set", [[], [Encoded([1, 2, 3], 3)]])
def test_training_without_a_target_fails_with_a_sentence(tiny_model, accelerator, train_set):
    with pytest.raises(UserError, match="no target token to train on"):
        train(make_learner(adapted(tiny_model), CONFIG, PADDED, accelerator), train_set, [], SEEDS)
