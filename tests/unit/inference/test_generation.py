from types import SimpleNamespace

import pytest
import torch

from architectures import make_model
from loragrid.data.render import Rendered
from loragrid.errors import UserError
from loragrid.inference.batching import answer_with
from loragrid.inference.choice import make_choice
from loragrid.inference.from_cache import attends_from_cache
from loragrid.inference.generation import generate_together
from loragrid.inference.padding import why_alone
from loragrid.inference.protocol import Decoding, generate
from loragrid.models.loading import load_base_model
from loragrid.models.packed_attention import COMPARED
from loragrid.patches.transformers_dynamic_rope import forget_longest_sequence
from loragrid.training.methods import LoraTraining, PromptTuning

BEGINNING = [7, 8, 9, 11, 12, 13, 14]
PROMPTS = [[*BEGINNING, *range(20, 20 + n)] for n in (1, 9, 3, 3, 12)] + [[5, 6], [250]]


@pytest.fixture
def model():
    return make_model("llama")


def by_hand(model, prompt, ends, max_new_tokens, choose=lambda ids, logits: int(logits.argmax())):
    """Decoding without any cache, a prompt at a time."""
    ids = list(prompt)
    with torch.inference_mode():
        while len(ids) < len(prompt) + max_new_tokens:
            ids.append(choose(ids, model(input_ids=torch.tensor([ids])).logits[0, -1]))
            if ids[-1] in ends:
                break
    return ids[len(prompt) :]


def answers(model, prompts, decoding, ends=(2,), seeds=None, is_stopped=lambda ids: False):
    found = generate_together(model, prompts, seeds or range(len(prompts)), decoding, ends, 2, is_stopped)
    assert all(one.compute_s > 0 for one in found)
    return [one.token_ids for one in found]


@pytest.mark.parametrize("kind", [*sorted(COMPARED), "gemma2"])
def test_greedy_takes_the_most_likely_token_each_time_whatever_else_is_in_the_batch(kind):
    model = make_model(kind)
    assert attends_from_cache(model) is (kind != "gemma2")
    for prompts in (PROMPTS, PROMPTS[:5], PROMPTS[:1]):
        expected = [by_hand(model, p, {2}, 9) for p in prompts]
        assert answers(model, prompts, Decoding(9)) == expected
    assert len({tuple(ids) for ids in answers(model, PROMPTS, Decoding(9))}) > 3


@pytest.mark.parametrize("prompts", [[PROMPTS[1]] * 3, [[5]], [[5], [5]], []], ids=["same", "one token", "same token", "none"])
def test_prompts_may_be_the_same_short_or_none(model, prompts):
    assert not prompts or answers(model, prompts, Decoding(4)) == [by_hand(model, p, {2}, 4) for p in prompts]
    engine = answer_with(model, SimpleNamespace(tokenizer=SimpleNamespace(pad_token_id=2), end_of_turn=2), [2], 100)
    assert list(engine([], Decoding(4), ())) == []


LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [9.0] * 4, "rope_theta": 1e4}
STRETCHING = {
    "longrope": ("phi3", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 16, "max_position_embeddings": 64}),
    "dynamic": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}, "max_position_embeddings": 16},
    ),
}
"""Encodings of positions that stretch for sequences of more than 16 tokens."""


def loaded(kind, **more):
    """A tiny model as `load_base_model` gives it."""
    model = make_model(kind, **more)
    forget_longest_sequence(model)
    return model


def asked(model, prompts, max_new_tokens=7, batch_tokens=1000):
    """The tokens of each answer, and the number of prompts that were answered together."""
    tokenizer = SimpleNamespace(pad_token_id=2, decode=lambda ids, **_: str(ids))
    engine = answer_with(model, SimpleNamespace(tokenizer=tokenizer, end_of_turn=2), [2], batch_tokens)
    found = generate(engine, [Rendered(str(ids), ids, [], False) for ids in prompts], Decoding(max_new_tokens))
    return [one.token_ids for [one] in found], [one.batch_size for [one] in found]


def one_by_one(kind, more, prompts, max_new_tokens=7):
    """What `generate()` gives for each prompt by itself, each time with a model that has seen nothing else."""
    found = []
    for prompt in prompts:
        output = make_model(kind, **more).generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=2, pad_token_id=2
        )
        found.append(output[0, len(prompt) :].tolist())
    return found


@pytest.mark.parametrize("name", STRETCHING)
def test_answers_depend_on_no_longer_prompt_where_positions_stretch(name):
    kind, more = STRETCHING[name]
    # Of 3 and 5 tokens, with all answers below 16; of 12, which an answer makes longer; of 19 and 25.
    prompts = [[5, 6, 9], [7, 8, 9, 11, 12], list(range(20, 32)), list(range(40, 59)), list(range(60, 85))]
    model = loaded(kind, **more)
    assert not attends_from_cache(model)
    answered, together = asked(model, prompts)
    assert answered == one_by_one(kind, more, prompts)
    assert together == ([2, 2, 1, 2, 2] if name == "longrope" else [2, 2, 1, 1, 1])
    # In another order: what came before changes nothing.
    assert asked(model, prompts[::-1])[0] == answered[::-1]


def test_library_still_remembers_the_longest_sequence():
    """Where this fails, patches/transformers_dynamic_rope.py can go."""
    kind, more = STRETCHING["dynamic"]
    model, ids = make_model(kind, **more), torch.tensor([list(range(40, 58))])
    before = model(input_ids=ids).logits
    model(input_ids=torch.tensor([list(range(40, 90))]))
    assert not torch.equal(model(input_ids=ids).logits, before)


@pytest.mark.parametrize(
    ("kind", "more", "reason"),
    [
        ("lfm2", {"layer_types": ["conv", "full_attention"]}, ""),
        ("bloom", {}, ""),
        ("qwen2_moe", {"use_sliding_window": True, "layer_types": ["sliding_attention", "full_attention"]}, ""),
        ("llama4_text", {"layer_types": ["chunked_attention"] * 2, "attention_chunk_size": 6, "intermediate_size_mlp": 64}, ""),
        ("minimax", {"layer_types": ["linear_attention", "full_attention"]}, "the model does not heed padding"),
        ("recurrent_gemma", {"block_types": ["recurrent", "attention"], "lru_width": 32}, "the model is recurrent"),
    ],
)
def test_models_that_go_another_way_answer_in_a_batch_what_they_answer_alone(kind, more, reason):
    model = make_model(kind, **more)
    assert not attends_from_cache(model)
    assert why_alone(model, pad=2) == reason
    answered, together = asked(model, PROMPTS)
    assert answered == [by_hand(make_model(kind, **more), prompt, {2}, 7) for prompt in PROMPTS]
    assert set(together) == ({1} if reason else {len(PROMPTS)})


def test_model_whose_cache_lacks_what_the_next_token_needs_goes_without_it(caplog):
    """Where the last assertion fails, `cache_misleads` may go."""
    kind, more = "minimax", {"layer_types": ["linear_attention", "full_attention"]}
    prompt = list(range(20, 33))
    expected = by_hand(make_model(kind, **more), prompt, {2}, 7)
    with caplog.at_level("INFO", logger="loragrid"):
        assert asked(make_model(kind, **more), [prompt])[0] == [expected]
    assert "each token is computed from the whole text: with its cache, the model would give other answers" in caplog.messages
    assert one_by_one(kind, more, [prompt]) != [expected]


def test_recurrent_model_begins_a_prompt_of_one_token_anew():
    kind, more = "recurrent_gemma", {"block_types": ["recurrent", "attention"], "lru_width": 32, "attention_window_size": 4}
    assert asked(make_model(kind, **more), [list(range(20, 33)), [5]])[0][1] == by_hand(make_model(kind, **more), [5], {2}, 7)


@pytest.mark.parametrize("kind", ["llama", "bloom"])
def test_padding_for_which_a_model_has_no_embedding_changes_no_answer(kind):
    model = make_model(kind)
    prompts = [Rendered(str(ids), ids, [], False) for ids in PROMPTS]

    def answered(pad):
        tokenizer = SimpleNamespace(pad_token_id=pad, decode=lambda ids, **_: str(ids))
        engine = answer_with(model, SimpleNamespace(tokenizer=tokenizer, end_of_turn=2), [2], 1000)
        return [one.token_ids for [one] in generate(engine, prompts, Decoding(5))]

    assert answered(300) == answered(2) == [by_hand(model, ids, {2}, 5) for ids in PROMPTS]


def test_token_for_which_a_model_has_no_embedding_is_named(model):
    rows = model.config.vocab_size
    tokenizer = SimpleNamespace(pad_token_id=2, decode=str, convert_ids_to_tokens=lambda token: f"<{token}>")
    engine = answer_with(model, SimpleNamespace(tokenizer=tokenizer, end_of_turn=2), [2], 1000)
    with pytest.raises(
        UserError, match=rf"token '<{rows}>' has the id {rows}, but the model has embeddings of {rows} tokens only"
    ):
        generate(engine, [Rendered("?", [5, rows], [], False)], Decoding(5))


def test_logits_that_are_no_numbers_end_in_a_sentence(model):
    model.get_output_embeddings().weight.data[3] = torch.nan
    for temperature in (0.0, 1.0):
        with pytest.raises(UserError, match="the model's logits are not numbers"):
            answers(model, PROMPTS, Decoding(4, temperature=temperature))


def test_recurrent_models_are_asked_one_prompt_at_a_time():
    model = make_model("rwkv", attention_hidden_size=32)
    found, together = asked(model, PROMPTS, 5)
    assert found == [by_hand(model, p, {2}, 5) for p in PROMPTS]
    assert set(together) == {1}


def test_model_is_left_as_it_was(model):
    before = by_hand(model, PROMPTS[0], {2}, 5)
    answers(model, PROMPTS, Decoding(5))
    assert by_hand(model, PROMPTS[0], {2}, 5) == before
    assert model.config._attn_implementation == "sdpa"


def test_gpt2_is_answered_alike(gpt2):
    model = load_base_model(gpt2, "float32")
    assert attends_from_cache(model)
    assert answers(model, PROMPTS, Decoding(6)) == [by_hand(model, p, {2}, 6) for p in PROMPTS]


def test_rows_longer_than_one_pass_are_read_in_several(model, monkeypatch):
    expected = answers(model, PROMPTS, Decoding(6))
    passes = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **inputs: passes.append(inputs["input_ids"].shape) or forward(**inputs))
    monkeypatch.setattr("loragrid.inference.from_cache._ROW_TOKENS", 16)
    assert answers(model, PROMPTS, Decoding(6)) == expected
    assert [width for rows, width in passes if rows == 1 and width > 1] == [8, 16, 10, 10, 19, 3]


def test_what_all_prompts_begin_with_is_computed_once(model, monkeypatch):
    assert attends_from_cache(model)
    passes = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **inputs: passes.append(inputs["input_ids"].shape) or forward(**inputs))
    answers(model, PROMPTS[:5], Decoding(1))
    assert passes == [(1, 7), (1, sum(len(p) - 7 for p in PROMPTS[:5]))]


def test_answer_ends_at_any_of_several_end_tokens(model):
    free = by_hand(model, PROMPTS[0], set(), 8)
    [stopped, _] = answers(model, PROMPTS[:2], Decoding(8), ends=[free[3], 299])
    assert stopped == free[: free.index(free[3]) + 1]


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_end_tokens_wait_until_an_answer_is_long_enough(family):
    model = make_model(family)
    free = by_hand(model, PROMPTS[0], set(), 8)
    [found] = answers(model, PROMPTS[:1], Decoding(8, min_new_tokens=4), ends=[free[0]])
    assert free[0] not in found[:4]
    assert len(found) >= 4


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_words_can_end_an_answer(family):
    model = make_model(family)
    free = answers(model, PROMPTS, Decoding(8))
    found = answers(model, PROMPTS, Decoding(8), is_stopped=lambda ids: ids[-1] == free[0][2])
    assert found[0] == free[0][: free[0].index(free[0][2]) + 1]


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_repetition_penalty_counts_each_prompts_own_tokens_alone(family):
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    model, penalty = make_model(family), RepetitionPenaltyLogitsProcessor(1.8)

    def choose(ids, logits):
        return int(penalty(torch.tensor([ids]), logits[None]).argmax())

    expected = [by_hand(model, p, {2}, 7, choose) for p in PROMPTS]
    assert answers(model, PROMPTS, Decoding(7, repetition_penalty=1.8)) == expected
    assert expected != answers(model, PROMPTS, Decoding(7))


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_draws_depend_on_their_seed_and_on_no_other_prompt(family):
    model, sampled = make_model(family), Decoding(8, temperature=1.0)
    seeds = [10, 11, 12, 13, 14, 15, 16]
    together = answers(model, PROMPTS, sampled, seeds=seeds)
    alone = [answers(model, [p], sampled, seeds=[s])[0] for p, s in zip(PROMPTS, seeds, strict=True)]
    assert together == alone
    assert answers(model, PROMPTS, sampled, seeds=range(20, 27)) != together


@pytest.mark.parametrize(
    ("decoding", "possible"),
    [
        (Decoding(1, temperature=1.0), {0: 0.6, 1: 0.3, 2: 0.1}),
        (Decoding(1, temperature=0.5), {0: 0.36 / 0.46, 1: 0.09 / 0.46, 2: 0.01 / 0.46}),
        (Decoding(1, temperature=1.0, top_k=2), {0: 2 / 3, 1: 1 / 3}),
        (Decoding(1, temperature=1.0, top_p=0.5), {0: 1.0}),
    ],
)
def test_tokens_are_drawn_with_their_probabilities(decoding, possible):
    logits = torch.tensor([0.6, 0.3, 0.1]).log().expand(4000, 3)
    draws = [torch.Generator().manual_seed(i) for i in range(4000)]
    drawn = make_choice(decoding, [], draws)(torch.zeros(4000, 1, dtype=torch.long), logits, 0).argmax(-1)
    for token in range(3):
        assert float((drawn == token).float().mean()) == pytest.approx(possible.get(token, 0), abs=0.03)


def test_adapter_and_learnt_prompt_answer_the_same_in_any_batch(model):
    adapted = LoraTraining().make_trainable(make_model("llama"), 1).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    assert attends_from_cache(adapted)
    expected = [by_hand(adapted, p, {2}, 6) for p in PROMPTS]
    assert answers(adapted, PROMPTS, Decoding(6)) == expected != answers(model, PROMPTS, Decoding(6))

    prompted = PromptTuning(method="prompt_tuning", virtual_tokens=4).make_trainable(model, 1).eval()
    assert not attends_from_cache(prompted)
    assert answers(prompted, PROMPTS[2:4], Decoding(6)) == [answers(prompted, [p], Decoding(6))[0] for p in PROMPTS[2:4]]


def test_sampling_settings_of_a_model_are_overridden():
    model = make_model("gemma2")
    expected = answers(model, PROMPTS, Decoding(6))
    model = make_model("gemma2")
    model.generation_config.update(do_sample=True, temperature=5.0, top_k=3, repetition_penalty=9.0, num_beams=3, max_length=3)
    assert answers(model, PROMPTS, Decoding(6)) == expected
