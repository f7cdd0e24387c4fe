import pytest
import torch

from loragrid.checks import check_generation, last_logits
from loragrid.config import LoraTraining, PromptTuning
from loragrid.inference import batches, generate, generate_batch, greedy_config, load_base_model
from loragrid.journal import read_journal
from loragrid.methods import make_trainable
from loragrid.render import make_renderer, render, zero_shot


@pytest.fixture(scope="module")
def renderer(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture
def model(tiny_model):
    return load_base_model(tiny_model, "float32")


@pytest.fixture
def rendered(renderer, make_example):
    return [
        render(renderer, zero_shot(make_example(str(i), input="word " * (7 * (i % 4)) + str(i))), None, 512) for i in range(7)
    ]


@pytest.fixture
def prompts(rendered):
    return [r.prompt_ids for r in rendered]


def by_hand(model, prompt, ends, max_new_tokens):
    """Greedy decoding without transformers' generate()."""
    ids = list(prompt)
    with torch.inference_mode():
        while len(ids) < len(prompt) + max_new_tokens:
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] in ends:
                break
    return ids[len(prompt) :]


def test_generation_takes_the_most_likely_token_each_time_whatever_the_batch(model, renderer, prompts):
    expected = [by_hand(model, p, {renderer.end_of_turn}, 6) for p in prompts]
    for batch_size in (1, 3, 7):
        answers = generate(model, renderer, prompts, 6, batch_size)
        assert [a.token_ids for a in answers] == expected
        assert max(a.batch_size for a in answers) == batch_size


@pytest.mark.parametrize("died_in_batch", [1, 2, 4])
def test_generation_that_dies_goes_on_with_what_is_missing(model, renderer, prompts, tmp_path, monkeypatch, died_in_batch):
    journal, calls = tmp_path / "state" / "answers.jsonl", []

    def dying(model, renderer, batch, max_new_tokens):
        calls.append(batch)
        if len(calls) == died_in_batch:
            raise KeyboardInterrupt
        return generate_batch(model, renderer, batch, max_new_tokens)

    expected = generate(model, renderer, prompts, 6, 2)
    monkeypatch.setattr("loragrid.inference.generate_batch", dying)
    with pytest.raises(KeyboardInterrupt):
        generate(model, renderer, prompts, 6, 2, journal)
    found = generate(model, renderer, prompts, 6, 2, journal)
    assert [a._replace(runtime_s=0) for a in found] == [a._replace(runtime_s=0) for a in expected]
    died = calls.pop(died_in_batch - 1)
    assert calls[died_in_batch - 1] == died
    assert sorted(p for batch in calls for p in batch) == sorted(prompts)
    generate(model, renderer, prompts, 6, 2, journal)
    assert len(calls) == 4


def test_other_prompts_are_not_answered_from_the_journal(model, renderer, prompts, tmp_path):
    journal = tmp_path / "answers.jsonl"
    generate(model, renderer, prompts[:3], 6, 2, journal)
    kept = journal.read_text()
    assert [a.token_ids for a in generate(model, renderer, prompts, 6, 2, journal)] == [
        a.token_ids for a in generate(model, renderer, prompts, 6, 2)
    ]
    assert journal.read_text().startswith(kept)
    assert len(read_journal(journal)) == len(prompts)


def test_greedy_overrides_the_sampling_settings_of_a_model(model, renderer, prompts):
    plain = generate(model, renderer, prompts, 6, 4)
    own = {
        "do_sample": True,
        "temperature": 5.0,
        "top_p": 0.9,
        "top_k": 3,
        "repetition_penalty": 9.0,
        "num_beams": 3,
        "max_length": 3,
    }
    model.generation_config.update(**own)
    torch.manual_seed(1)
    assert [a.token_ids for a in generate(model, renderer, prompts, 6, 4)] == [a.token_ids for a in plain]


def test_answer_ends_at_any_of_the_models_end_tokens_or_at_the_limit(model, renderer, prompts):
    free = by_hand(model, prompts[0], set(), 6)
    model.generation_config.eos_token_id = [free[3], 9]
    config = greedy_config(renderer, model, 6)
    assert set(config.eos_token_id) == {free[3], 9, renderer.end_of_turn}
    [stopped] = generate_batch(model, renderer, [prompts[0]], 6)
    first = free.index(free[3]) + 1
    assert (stopped.token_ids, stopped.finish_reason) == (free[:first], "stop")


def test_answer_that_reaches_the_limit_says_so(model, renderer, prompts):
    [answer] = generate_batch(model, renderer, [prompts[0]], 2)
    assert (len(answer.token_ids), answer.finish_reason) == (2, "length")
    assert answer.runtime_s > 0


def test_answers_behind_a_learnt_prompt_do_not_depend_on_the_batch(model, renderer, prompts):
    prompted = make_trainable(model, PromptTuning(method="prompt_tuning", virtual_tokens=4), 1).eval()
    alone = [generate(prompted, renderer, [p], 6, 1)[0].token_ids for p in prompts]
    assert [a.token_ids for a in generate(prompted, renderer, prompts, 6, 7)] == alone
    assert alone != [a.token_ids for a in generate(model, renderer, prompts, 6, 7)]


def test_prompts_of_one_length_can_be_kept_together():
    assert list(batches([3, 5, 3, 5, 5, 1], 2, of_one_length=True)) == [[1, 3], [4], [0, 2], [5]]
    assert list(batches([3, 5, 3, 5, 5, 1], 2, of_one_length=False)) == [[1, 3], [4, 0], [2, 5]]


def test_check_passes_for_a_model_with_a_trained_adapter(model, renderer, rendered):
    base_logits = [last_logits(model, r.prompt_ids) for r in rendered[:2]]
    adapted = make_trainable(model, LoraTraining(), 1).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    checks = check_generation(adapted, renderer, rendered[:2], 5, base_logits)
    assert {name: check["passed"] for name, check in checks.items()} == {
        "same text twice": True,
        "same text in a batch": True,
        "end token or length": True,
        "differs from base": True,
    }


def test_check_fails_for_an_adapter_that_changes_nothing(model, renderer, rendered):
    base_logits = [last_logits(model, r.prompt_ids) for r in rendered[:2]]
    fresh = make_trainable(model, LoraTraining(), 1).eval()
    checks = check_generation(fresh, renderer, rendered[:2], 3, base_logits)
    assert checks["differs from base"] == {"passed": False, "evidence": [0.0, 0.0]}


def test_check_fails_for_a_model_that_does_not_answer_the_same_twice(model, renderer, rendered):
    model.get_output_embeddings().register_forward_hook(lambda *args: torch.rand_like(args[-1]))
    checks = check_generation(model, renderer, rendered[:2], 5)
    assert checks["same text twice"]["passed"] is False
    assert "differs from base" not in checks
