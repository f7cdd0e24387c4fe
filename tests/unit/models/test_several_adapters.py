"""Several adapters on one base model give what each gives alone."""

import copy
import re

import pytest
import torch
from torch.testing import assert_close

from architectures import make_model
from loragrid.models.adapters import own_number_types
from loragrid.models.packed_attention import keep_examples_apart, of_row
from loragrid.models.several_adapters import SeveralAdapters, parts_of, why_not_several
from loragrid.training.methods import LoraTraining, PromptTuning

CONFIGS = [
    LoraTraining(rank=4),
    LoraTraining(rank=8, alpha=24, rslora=True, target_modules=["q_proj", "v_proj"]),
    LoraTraining(rank=2, target_modules=["down_proj", "q_proj"]),
]
IDS = [torch.randint(3, 300, (length,), generator=torch.Generator().manual_seed(length)).tolist() for length in (7, 12, 5, 9)]


@pytest.fixture(scope="module")
def base():
    return packed("llama")


def packed(kind):
    """A base model whose attention keeps sequences in a row apart."""
    model = make_model(kind).requires_grad_(False)
    assert keep_examples_apart(model, "on", torch.device("cpu"), torch.float32)
    return model


def adapted(base, config, seed=1):
    """An adapter with an effect, on a copy of the base model."""
    model = config.make_trainable(copy.deepcopy(base), seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return model


def logits_of(model, sequences):
    """Of sequences in one packed row."""
    lengths = [len(ids) for ids in sequences]
    positions = torch.tensor([[i for length in lengths for i in range(length)]])
    row = torch.tensor([[token for ids in sequences for token in ids]])
    return model(input_ids=row, position_ids=positions, use_cache=False, **of_row(model, [0, *lengths])).logits[0]


def owners_of(places, sequences):
    return torch.tensor([[place for place, ids in zip(places, sequences, strict=True) for _ in ids]])


def together(base, models, trained=False, ranks=None):
    shared = copy.deepcopy(base)
    several = SeveralAdapters(shared, [parts_of(model) for model in models], ranks, trained)
    return shared, several, [several.put(parts_of(model)) for model in models]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_token_gets_its_own_adapter_and_those_of_nobody_the_base_model(base, number):
    models = [adapted(base, config, seed) for seed, config in enumerate(CONFIGS[:number])]
    shared, several, places = together(base, models)
    sequences = [IDS[i] for i in (0, 3, 1, 2)]
    order = [None, *range(number), 0, None][:4]
    owners = owners_of([several.nobody if i is None else places[i].start for i in order], sequences)
    with torch.no_grad():
        with several.owned(owners):
            found = logits_of(shared, sequences)
        expected = [logits_of(base if i is None else models[i], [ids]) for i, ids in zip(order, sequences, strict=True)]
        assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)
        plain = logits_of(base, sequences)
        assert_close(logits_of(shared, sequences), plain, rtol=0, atol=0)
        assert (found - plain).abs().max() > 0.1


def test_gradients_of_a_run_in_a_shared_row_are_those_alone(base):
    models = [adapted(base, config, seed) for seed, config in enumerate(CONFIGS)]
    shared, several, places = together(base, models, trained=True)
    weights = torch.randn(sum(map(len, IDS)), 300)
    with several.owned(owners_of([places[0].start, places[1].start, places[2].start, places[0].start], IDS)):
        (logits_of(shared, IDS) * weights).sum().backward()
    of_sequence = torch.split(weights, [len(ids) for ids in IDS])
    for run, mine in ((0, (0, 3)), (1, (1,)), (2, (2,))):
        sum((logits_of(models[run], [IDS[i]]) * of_sequence[i]).sum() for i in mine).backward()
        found = several.views(several.gradients[places[run].rows])
        for name, part in parts_of(models[run]).items():
            a, b = found[name]
            assert_close(a, part.a.grad, rtol=1e-5, atol=1e-5 * part.a.grad.abs().max().item())
            assert_close(b, part.b.grad, rtol=1e-5, atol=1e-5 * part.b.grad.abs().max().item())
        left_alone = found.keys() - parts_of(models[run]).keys()
        assert bool(left_alone) == (run > 0)
        assert not any(gradient.any() for name in left_alone for gradient in found[name])


@pytest.mark.parametrize("autocast", [True, False])
def test_number_types_are_those_of_peft_on_a_base_in_bfloat16(base, autocast):
    half = copy.deepcopy(base).bfloat16()
    models = [adapted(half, config, seed) for seed, config in enumerate(CONFIGS)]
    shared, several, places = together(half, models)
    exact = copy.deepcopy(base)
    assert several.weights.dtype == torch.float32
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        with several.owned(owners_of([places[0].start, places[1].start, places[2].start, places[0].start], IDS)):
            found = logits_of(shared, IDS)
        assert found.dtype == torch.bfloat16
        expected = []
        for run, ids in zip((0, 1, 2, 0), IDS, strict=True):
            with own_number_types(models[run] if autocast else exact):
                expected.append(logits_of(models[run], [ids]))
    distance = (found - torch.cat(expected)).float().norm() / found.float().norm()
    assert distance < 0.01


def test_a_place_is_filled_again_and_an_adapter_that_does_not_fit_is_told(base):
    small, other, wide = (adapted(base, config) for config in (CONFIGS[2], CONFIGS[2], CONFIGS[1]))
    shared, several, places = together(base, [small, other], ranks=6)
    assert [place.start for place in places] == [0, 2]
    assert several.room_for(parts_of(wide)) is None
    assert several.room_for(parts_of(adapted(base, CONFIGS[0]))) is None
    several.take_away(places[0])
    assert not several.weights[:2].any()
    assert several.put(parts_of(adapted(base, CONFIGS[2], seed=7))).start == 0
    assert several.room_for(parts_of(small)).start == 4
    with pytest.raises(ValueError, match="no room"):
        several.put(parts_of(wide))
    with torch.no_grad(), several.owned(owners_of([0], IDS[:1])):
        assert_close(logits_of(shared, IDS[:1]), logits_of(adapted(base, CONFIGS[2], seed=7), IDS[:1]), rtol=1e-4, atol=1e-5)


def test_the_base_model_is_as_it_was_when_hooks_are_removed(base):
    shared, several, _ = together(base, [adapted(base, CONFIGS[0])])
    several.remove()
    with torch.no_grad(), several.owned(owners_of([0], IDS[:1])):
        assert_close(logits_of(shared, IDS[:1]), logits_of(base, IDS[:1]), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (CONFIGS[0], ""),
        (CONFIGS[1], ""),
        (LoraTraining(dropout=0.1), ""),
        (LoraTraining(dora=True), "in another way than plain LoRA"),
        (LoraTraining(target_modules=["lm_head"]), r"the adapter changes the output layer \(lm_head\)"),
        (LoraTraining(target_modules=["embed_tokens"]), "in another way than plain LoRA"),
        (PromptTuning(method="prompt_tuning"), "only adapters of LoRA"),
    ],
)
def test_adapters_that_cannot_share_passes_say_why(base, config, why):
    told = why_not_several(config.make_trainable(copy.deepcopy(base), 1))
    assert re.search(why, told) if why else not told


def test_layers_of_gpt2_are_adapted_too():
    gpt2 = packed("gpt2")
    model = adapted(gpt2, LoraTraining(rank=4))
    assert not why_not_several(model)
    shared, several, _ = together(gpt2, [model])
    with torch.no_grad(), several.owned(owners_of([0, several.nobody], IDS[:2])):
        expected = torch.cat([logits_of(model, IDS[:1]), logits_of(gpt2, IDS[1:2])])
        assert_close(logits_of(shared, IDS[:2]), expected, rtol=1e-4, atol=1e-5)
