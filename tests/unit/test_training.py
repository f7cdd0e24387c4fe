import hashlib
import json
import math

import pytest
import torch

from loragrid.adapters import save_adapter
from loragrid.config import Seeds, TrainingConfig
from loragrid.errors import UserError
from loragrid.inference import load_adapter, load_base_model, pad_token
from loragrid.render import make_renderer, render, zero_shot
from loragrid.tokens import Tokenised, read_tokens, tokenise, write_tokens
from loragrid.training import (
    IGNORED,
    Encoded,
    accumulate_gradients,
    add_adapter,
    collate,
    data_order,
    learning_rate_factor,
    mean_loss,
    micro_batches,
    summed_loss,
    train,
    write_course,
)
from loragrid.training import encode as encode_examples

CPU = torch.device("cpu")
CONFIG = TrainingConfig(rank=4, batch_size=4, learning_rate=0.01, epochs=2, max_length=512)
SEEDS = Seeds(adapter_init=1, data_order=2, mix=3)


def encode(renderer, examples, loss_computation, max_length):
    tokenised = {
        r["id"]: [Tokenised(r["prompt_ids"], r["answer_ids"])] for r in tokenise(renderer, {"train": examples}).to_pylist()
    }
    return encode_examples(renderer, examples, tokenised, loss_computation, max_length)


@pytest.fixture(scope="module")
def renderer(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture
def examples(make_example):
    return [make_example(str(i), input="word " * (3 * i), output=f"answer {'x ' * (i % 3)}{i}") for i in range(10)]


@pytest.fixture
def encoded(renderer, examples):
    return encode(renderer, examples, "completion", 512)[0]


def adapted(folder, seed=1, config=CONFIG):
    model = add_adapter(load_base_model(folder, "float32"), config, seed)
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


def test_completion_targets_are_the_answer_and_the_end_of_turn(renderer, examples):
    for example, item in zip(examples, encode(renderer, examples, "completion", 512)[0], strict=True):
        targets = item.ids[item.target_start :]
        assert renderer.tokenizer.decode(targets) == example.output + "<|im_end|>"


def test_full_targets_are_everything_but_the_first_token(renderer, examples):
    assert [e.target_start for e in encode(renderer, examples, "full", 512)[0]] == [1] * len(examples)


def test_what_is_cut_and_what_is_dropped_is_told_by_id(renderer, make_example):
    long_input, long_output = make_example("cut", input="word " * 300), make_example("dropped", output="word " * 300)
    found, cut, dropped = encode(renderer, [make_example("fine"), long_input, long_output], "completion", 120)
    assert (len(found), cut, dropped) == (2, ["cut"], ["dropped"])
    assert all(len(e.ids) <= 120 for e in found)


def test_padding_is_masked_by_length_even_though_it_equals_the_end_of_turn(renderer, encoded):
    pad = pad_token(renderer)
    assert pad == renderer.end_of_turn
    batch = collate(encoded[:4], pad)
    for row, item in enumerate(encoded[:4]):
        assert batch["input_ids"][row][batch["attention_mask"][row] == 1].tolist() == item.ids
        assert batch["attention_mask"][row].sum() == len(item.ids)
        assert batch["position_ids"][row][-1] == len(item.ids) - 1
        labels = batch["labels"][row]
        assert labels[labels != IGNORED].tolist() == item.ids[item.target_start :]
        assert labels[-1] == renderer.end_of_turn


def test_micro_batches_hold_every_example_once_and_keep_to_the_budget():
    items = [Encoded([1] * n, 1) for n in (5, 30, 8, 100, 7, 9, 31)]
    batches = list(micro_batches(items, 64))
    assert sorted(len(e.ids) for b in batches for e in b) == [5, 7, 8, 9, 30, 31, 100]
    assert all(len(b) == 1 or len(b) * max(len(e.ids) for e in b) <= 64 for b in batches)
    assert [len(b) for b in batches] == [4, 2, 1]


def test_loss_on_few_logits_is_that_on_all_logits(tiny_model, renderer, encoded):
    model = adapted(tiny_model).eval()
    for item in encoded:
        logits = model(input_ids=torch.tensor([item.ids])).logits[0]
        targets = torch.tensor(item.ids[item.target_start :])
        expected = torch.nn.functional.cross_entropy(logits[item.target_start - 1 : -1], targets, reduction="sum")
        torch.testing.assert_close(summed_loss(model, collate([item], 2)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loss_computation", ["completion", "full"])
def test_gradients_do_not_depend_on_how_a_step_is_cut_into_batches(tiny_model, renderer, examples, loss_computation):
    items = encode(renderer, examples[:8], loss_computation, 512)[0]
    found = []
    for max_tokens in (1, 200, 100_000):
        model = adapted(tiny_model).train()
        loss = accumulate_gradients(model, items, max_tokens, 2, CPU)
        found.append((loss, gradients(model)))
    assert all(loss == pytest.approx(found[0][0], rel=1e-6) for loss, _ in found)
    assert all(largest_difference(found[0][1], grads) < 1e-5 for _, grads in found[1:])
    assert max(float(g.abs().max()) for g in found[0][1].values()) > 1e-3


def test_every_target_token_weighs_the_same(tiny_model, encoded):
    model = adapted(tiny_model)
    total = sum(summed_loss(model, collate([item], 2)).item() for item in encoded)
    tokens = sum(item.nb_targets for item in encoded)
    assert accumulate_gradients(model, encoded, 150, 2, CPU) == pytest.approx(total / tokens, rel=1e-5)
    assert mean_loss(model, encoded, 150, 2, CPU) == pytest.approx(total / tokens, rel=1e-5)


def trained_bytes(tiny_model, encoded, folder, seeds=SEEDS, config=CONFIG):
    base = load_base_model(tiny_model, "float32")
    base.config.name_or_path = "results/models/tiny"
    model = add_adapter(base, config, seeds.adapter_init)
    course = train(model, encoded[:8], encoded[8:], config, seeds, 2, CPU)
    save_adapter(model, folder)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}, course


def test_same_run_twice_gives_the_same_bytes(tiny_model, encoded, tmp_path):
    config = CONFIG.model_copy(update={"dropout": 0.1})
    first, _ = trained_bytes(tiny_model, encoded, tmp_path / "1", config=config)
    torch.manual_seed(99)
    second, _ = trained_bytes(tiny_model, encoded, tmp_path / "2", config=config)
    assert first == second
    assert set(first) == {"adapter_config.json", "adapter_model.safetensors"}
    # peft keeps these names in a set, whose order differs from process to process.
    modules = json.loads((tmp_path / "1" / "adapter_config.json").read_text())["target_modules"]
    assert len(modules) == 2 * 7
    assert modules == sorted(modules)


def test_seeds_of_initialisation_and_order_change_only_what_they_should(tiny_model, encoded, tmp_path):
    def init(seed):
        return {
            n: p.clone()
            for n, p in add_adapter(load_base_model(tiny_model, "float32"), CONFIG, seed).named_parameters()
            if "lora" in n
        }

    assert largest_difference(init(1), init(1)) == 0
    assert largest_difference(init(1), init(2)) > 0
    assert data_order(8, 4, 2, seed=1) == data_order(8, 4, 2, seed=1)
    assert data_order(8, 4, 2, seed=1) != data_order(8, 4, 2, seed=2)
    reference, course = trained_bytes(tiny_model, encoded, tmp_path / "a")
    other_order, other_course = trained_bytes(tiny_model, encoded, tmp_path / "b", SEEDS.model_copy(update={"data_order": 9}))
    other_mix, _ = trained_bytes(tiny_model, encoded, tmp_path / "c", SEEDS.model_copy(update={"mix": 9}))
    assert reference["adapter_model.safetensors"] != other_order["adapter_model.safetensors"]
    assert course[0].validation_loss == other_course[0].validation_loss
    assert reference == other_mix


def test_training_lowers_both_losses_and_changes_the_adapter_only(tiny_model, encoded):
    config = CONFIG.model_copy(update={"epochs": 20, "learning_rate": 0.02})
    base = load_base_model(tiny_model, "float32")
    before = {name: p.clone() for name, p in base.named_parameters()}
    model = add_adapter(base, config, 1)
    course = train(model, encoded, encoded[:2], config, SEEDS, 2, CPU)
    assert course[-1].train_loss < 0.7 * course[1].train_loss
    assert course[-1].validation_loss < 0.7 * course[0].validation_loss
    assert [row.step for row in course] == list(range(61))
    assert course[-1].tokens == 20 * sum(len(e.ids) for e in encoded)
    frozen = {
        n.replace("base_model.model.", "").replace(".base_layer", ""): p
        for n, p in model.named_parameters()
        if not p.requires_grad
    }
    assert all(torch.equal(frozen[name], p) for name, p in before.items())


def test_validation_is_spread_evenly_and_done_before_and_at_the_end(tiny_model, encoded):
    config = CONFIG.model_copy(update={"epochs": 4, "batch_size": 2, "evaluations": 4})
    course = train(
        add_adapter(load_base_model(tiny_model, "float32"), config, 1), encoded[:8], encoded[8:], config, SEEDS, 2, CPU
    )
    assert [row.step for row in course if row.validation_loss is not None] == [0, 4, 8, 12, 16]


def test_without_validation_examples_there_is_no_validation_loss(tiny_model, encoded, tmp_path):
    course = train(add_adapter(load_base_model(tiny_model, "float32"), CONFIG, 1), encoded[:4], [], CONFIG, SEEDS, 2, CPU)
    assert all(row.validation_loss is None for row in course)
    write_course(tmp_path / "loss.csv", course)
    lines = (tmp_path / "loss.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,train_loss,validation_loss,learning_rate,tokens,seconds"
    assert len(lines) == len(course) + 1


def test_training_that_diverges_fails_with_a_sentence(tiny_model, encoded):
    config = CONFIG.model_copy(update={"learning_rate": 1e30, "max_grad_norm": None})
    with pytest.raises(UserError, match=r"training loss is (nan|inf) at step \d: try a lower learning_rate"):
        train(add_adapter(load_base_model(tiny_model, "float32"), config, 1), encoded, [], config, SEEDS, 2, CPU)


@pytest.mark.parametrize("train_set", [[], [Encoded([1, 2, 3], 3)]])
def test_training_without_a_target_fails_with_a_sentence(tiny_model, train_set):
    with pytest.raises(UserError, match="no target token to train on"):
        train(add_adapter(load_base_model(tiny_model, "float32"), CONFIG, 1), train_set, [], CONFIG, SEEDS, 2, CPU)


def test_unknown_target_module_is_named(tiny_model):
    with pytest.raises(UserError, match=r"target_modules: .*no_such_module"):
        add_adapter(load_base_model(tiny_model, "float32"), CONFIG.model_copy(update={"target_modules": ["no_such_module"]}), 1)


def test_adapter_loads_in_plain_peft_and_changes_the_output(tiny_model, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = adapted(tiny_model)
    save_adapter(model, tmp_path)
    ids = torch.tensor([[5, 6, 7]])
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), tmp_path)
    ours = load_adapter(load_base_model(tiny_model, "float32"), tmp_path)
    with torch.inference_mode():
        assert torch.equal(loaded(input_ids=ids).logits, model.eval()(input_ids=ids).logits)
        assert torch.equal(loaded(input_ids=ids).logits, ours(input_ids=ids).logits)
        adapted_logits = loaded(input_ids=ids).logits
        with loaded.disable_adapter():
            assert not torch.equal(loaded(input_ids=ids).logits, adapted_logits)


@pytest.mark.parametrize(
    ("examples", "batch_size", "epochs", "steps"), [(8, 4, 2, 4), (10, 4, 1, 3), (10, 4, 0.5, 2), (8, 4, 1.5, 3), (3, 8, 1, 1)]
)
def test_each_epoch_holds_every_example_once(examples, batch_size, epochs, steps):
    order = data_order(examples, batch_size, epochs, seed=1)
    assert len(order) == steps
    per_epoch = math.ceil(examples / batch_size)
    for epoch in range(math.floor(epochs)):
        assert sorted(i for step in order[epoch * per_epoch : (epoch + 1) * per_epoch] for i in step) == list(range(examples))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25]),
        ("cosine", [1 / 3, 2 / 3, 1, 0.853553, 0.5, 0.146447]),
    ],
)
def test_learning_rate_warms_up_and_decays(schedule, expected):
    factor = learning_rate_factor(schedule, warmup_steps=2, total_steps=6)
    assert [factor(step) for step in range(6)] == pytest.approx(expected, abs=1e-6)


def test_tokenised_data_is_what_the_renderer_gives_and_only_wanted_examples_are_read(tmp_path, renderer, examples):
    write_tokens(tmp_path / "a.parquet", tokenise(renderer, {"train": examples[:6], "test": examples[6:]}))
    found = read_tokens([tmp_path / "a.parquet"], {e.id for e in examples[2:8]})
    assert set(found) == {e.id for e in examples[2:8]}
    for example in examples[2:8]:
        rendered = render(renderer, zero_shot(example), example.output, 10_000)
        assert found[example.id] == [(rendered.prompt_ids, rendered.answer_ids)]


def test_each_prompt_of_an_example_is_learnt_with_its_own_answer(tmp_path, renderer, make_example):
    several = make_example("1").model_copy(update={"prompts": ["p", "q"], "output": ["x", "y"], "answers": "each"})
    joined = make_example("2").model_copy(update={"prompts": ["p", "q"], "answers": "joined"})
    write_tokens(tmp_path / "a.parquet", tokenise(renderer, {"train": [several, joined]}))
    tokenised = read_tokens([tmp_path / "a.parquet"], {"1", "2"})
    found, _, dropped = encode_examples(renderer, [several, joined], tokenised, "completion", 512)
    texts = [renderer.tokenizer.decode(item.ids) for item in found]
    assert [text.rpartition("user\nAnswer.\n\n")[2] for text in texts] == [
        "p<|im_end|>\n<|im_start|>assistant\nx<|im_end|>",
        "q<|im_end|>\n<|im_start|>assistant\ny<|im_end|>",
    ]
    assert dropped == ["2"]
