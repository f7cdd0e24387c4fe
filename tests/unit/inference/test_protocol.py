import pytest
import torch

from loragrid.data.render import end_tokens, make_renderer, render, zero_shot
from loragrid.errors import UserError
from loragrid.inference.batching import answer_with, batches
from loragrid.inference.engines.openai import read_reply
from loragrid.inference.protocol import (
    Decoding,
    Engine,
    MadeBy,
    PromptAnswers,
    generate,
    known_answers,
    make_predictions,
    prediction_identity,
)
from loragrid.models.loading import load_base_model
from loragrid.runtime.journal import read_journal

SIX = Decoding(max_new_tokens=6)


@pytest.fixture(scope="module")
def renderer(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_base_model(tiny_model, "float32")


@pytest.fixture
def prompts(renderer, make_example):
    return [
        render(renderer, zero_shot(make_example(str(i), input="word " * (7 * (i % 4)) + str(i))), None, 512) for i in range(7)
    ]


@pytest.fixture
def engine(model, renderer, tiny_model):
    return answer_with(model, renderer, end_tokens(renderer, tiny_model), batch_tokens=160)


def without_times(answers):
    return [[one._replace(queue_s=0, compute_s=0, runtime_s=0) for one in of_prompt] for of_prompt in answers]


def counted(engine, died_after=None):
    """An engine that lists what it answers, and dies after so many batches."""
    calls = []

    def answer(questions, decoding, answered):
        for new in engine(questions, decoding, answered):
            if len(calls) == died_after:
                raise KeyboardInterrupt
            calls.append([questions[i].prompt.prompt for i in new])
            yield new

    return answer, calls


@pytest.mark.parametrize("died_after", [0, 1, 2])
def test_generation_that_dies_goes_on_with_what_is_missing(engine, prompts, tmp_path, died_after):
    journal = tmp_path / "state" / "answers.jsonl"
    expected = generate(engine, prompts, SIX)
    dying, first_calls = counted(engine, died_after)
    with pytest.raises(KeyboardInterrupt):
        generate(dying, prompts, SIX, journal)
    going_on, calls = counted(engine)
    assert without_times(generate(going_on, prompts, SIX, journal)) == without_times(expected)
    assert len(first_calls) == died_after
    assert sorted(p for batch in first_calls + calls for p in batch) == sorted(p.prompt for p in prompts)
    assert len(first_calls + calls) > 2
    generate(going_on, prompts, SIX, journal)
    assert len(first_calls + calls) == len(counted_batches(engine, prompts))


def counted_batches(engine, prompts):
    answer, calls = counted(engine)
    generate(answer, prompts, SIX)
    return calls


def test_other_prompts_and_samples_are_not_answered_from_the_journal(engine, prompts, tmp_path):
    journal = tmp_path / "answers.jsonl"
    sampled = SIX._replace(temperature=1.0)
    generate(engine, prompts[:3], sampled, journal)
    kept = journal.read_text()
    more = sampled._replace(samples=2)
    assert without_times(generate(engine, prompts, more, journal)) != without_times(generate(engine, prompts, sampled))
    assert journal.read_text().startswith(kept)
    assert len(read_journal(journal)) == 2 * len(prompts)


def test_several_samples_differ_and_another_seed_gives_others(engine, prompts):
    sampled = Decoding(max_new_tokens=6, temperature=1.0, samples=3)
    first, again = generate(engine, prompts, sampled), generate(engine, prompts, sampled)
    other = generate(engine, prompts, sampled._replace(seed=1))

    def texts(answers):
        return [[one.token_ids for one in of_prompt] for of_prompt in answers]

    assert texts(first) == texts(again) != texts(other)
    assert all(len({tuple(ids) for ids in of_prompt}) == 3 for of_prompt in texts(first))


IDENTITY = {
    "file": "predictions/a.jsonl",
    "fingerprints": {"model": "1", "tokenizer": "2", "adapter": "3"},
    "settings": {"dtype": "float32", "engine": {"type": "hf"}, "quantization": "none"},
    "decoding": SIX,
    "engine": Engine("hf", "5.0", lambda *_: iter(()), "cpu", "float32"),
    "versions": {"torch": "2", "stage": 1},
}


def changed_identities():
    for part in IDENTITY["fingerprints"]:
        yield part, {"fingerprints": IDENTITY["fingerprints"] | {part: "x"}}
    yield "dtype setting", {"settings": IDENTITY["settings"] | {"dtype": "auto"}}
    yield "quantization", {"settings": IDENTITY["settings"] | {"quantization": "8bit"}}
    yield "engine setting", {"settings": IDENTITY["settings"] | {"engine": {"type": "hf", "batch_tokens": 9}}}
    for field, value in zip(Decoding._fields, (7, 1, 0.5, 0.5, 4, 1.1, ["."], 1, 3, True, []), strict=True):
        if field != "samples":
            yield field, {"decoding": SIX._replace(**{field: value})}
    for field in ("name", "version", "device", "dtype"):
        yield f"engine {field}", {"engine": IDENTITY["engine"]._replace(**{field: "x"})}
    for part in IDENTITY["versions"]:
        yield part, {"versions": IDENTITY["versions"] | {part: "x"}}
    yield "file", {"file": "predictions/b.jsonl"}


@pytest.mark.parametrize(("name", "change"), [pytest.param(*one, id=one[0]) for one in changed_identities()])
def test_whatever_an_answer_depends_on_has_a_journal_of_its_own(name, change):
    assert prediction_identity(**(IDENTITY | change)) != prediction_identity(**IDENTITY)


def test_the_same_job_and_one_that_wants_more_samples_find_their_journal_again():
    asked_elsewhere = {"engine": IDENTITY["engine"]._replace(answer=print), "decoding": SIX._replace(samples=5)}
    assert prediction_identity(**(IDENTITY | asked_elsewhere)) == prediction_identity(**IDENTITY)


def test_run_time_is_told_apart_into_queue_and_compute(engine, prompts):
    answers = [one for of_prompt in generate(engine, prompts, SIX) for one in of_prompt]
    in_batches = sorted({(one.queue_s, one.batch_size) for one in answers})
    assert len(in_batches) > 1
    assert sum(size for _, size in in_batches) == len(prompts)
    for queue_s, size in in_batches:
        together = [one for one in answers if one.queue_s == queue_s]
        whole = together[0].runtime_s * size
        assert all(0 < one.compute_s <= whole + 1e-3 for one in together)
        later = [one.queue_s for one in answers if one.queue_s > queue_s]
        assert not later or min(later) >= queue_s + whole - 1e-3


def test_latency_is_measured_one_prompt_at_a_time(engine, prompts):
    answers = generate(engine, prompts, SIX._replace(latency=True))
    assert {one.batch_size for of_prompt in answers for one in of_prompt} == {1}
    assert [a.text for [a] in answers] == [a.text for [a] in generate(engine, prompts, SIX)]


def test_words_that_end_an_answer_are_not_part_of_it(engine, prompts):
    [[free], *_] = generate(engine, prompts, SIX)
    stop = free.text[3:5]
    [[stopped], *_] = generate(engine, prompts, SIX._replace(stop=[stop]))
    assert stopped.text == free.text[: free.text.index(stop)].strip()
    assert stopped.finish_reason == "stop"
    assert stopped.new_tokens < free.new_tokens


def test_words_that_end_an_answer_do_not_end_one_that_is_too_short(engine, prompts):
    [[free], *_] = generate(engine, prompts, SIX)
    at_once = free.text[:1]
    [[stopped], *_] = generate(engine, prompts, SIX._replace(stop=[at_once]))
    assert stopped.text == ""
    [[long_enough], *_] = generate(engine, prompts, SIX._replace(stop=[at_once], min_new_tokens=4))
    assert long_enough.new_tokens >= 4
    assert len(long_enough.text) > 3


def test_batches_hold_as_many_tokens_as_they_may_the_longest_first():
    assert batches([3, 5, 3, 5, 5, 1], 10, of_one_length=False) == [[1, 3], [4, 0], [2, 5]]
    assert batches([3, 5, 3, 5, 5, 1], 10, of_one_length=True) == [[1, 3], [4], [0, 2], [5]]
    assert batches([30, 5], 10, of_one_length=False) == [[0], [1]]
    assert batches([3, 5], 100, of_one_length=False, alone=True) == [[1], [0]]


def out_of_memory_above(model, rows, error):
    def check(module, inputs, kwargs):
        if kwargs["input_ids"].shape[0] > rows:
            raise error

    return model.register_forward_pre_hook(check, with_kwargs=True)


CPU_ERROR = RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), CPU_ERROR, RuntimeError("MPS backend out of memory")]
)
def test_batches_are_halved_where_memory_runs_out_and_everything_is_answered_once(model, renderer, prompts, tmp_path, error):
    engine = answer_with(model, renderer, [2], 10_000)
    expected = generate(engine, prompts, SIX)
    assert expected[0][0].batch_size == len(prompts)
    hook = out_of_memory_above(model, 2, error)
    try:
        answers = generate(engine, prompts, SIX, tmp_path / "journal.jsonl")
    finally:
        hook.remove()
    assert [one.text for [one] in answers] == [one.text for [one] in expected]
    assert max(one.batch_size for [one] in answers) == 2
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == len({one.queue_s for [one] in answers})


def test_one_prompt_that_is_too_much_for_the_memory_is_said_in_a_sentence(model, renderer, prompts):
    hook = out_of_memory_above(model, 0, torch.OutOfMemoryError("CUDA out of memory"))
    try:
        with pytest.raises(UserError, match="memory runs out at one prompt of"):
            generate(answer_with(model, renderer, [2], 10_000), prompts, SIX)
    finally:
        hook.remove()


def test_other_errors_are_not_taken_for_a_lack_of_memory(model, renderer, prompts):
    hook = out_of_memory_above(model, 2, RuntimeError("shape mismatch"))
    try:
        with pytest.raises(RuntimeError, match="shape mismatch"):
            generate(answer_with(model, renderer, [2], 10_000), prompts, SIX)
    finally:
        hook.remove()


AXES = {"task": "t", "sample_type": "s", "base_model": "m", "run": "base"}


def test_answers_to_the_same_prompts_are_taken_over_from_a_prediction_file(engine, prompts, make_example):
    decoding = SIX._replace(temperature=1.0, samples=2)
    made_by = MadeBy("hf", "5.0")
    answered = dict(zip((p.prompt for p in prompts), generate(engine, prompts, decoding), strict=True))
    examples = [make_example(str(i)) for i in range(len(prompts))]
    records = [
        record
        for example, prompt in zip(examples, prompts, strict=True)
        for record in make_predictions(AXES, example, [prompt], [PromptAnswers(made_by, answered[prompt.prompt])])
    ]
    assert [(r.id, r.sample) for r in records[:3]] == [("0", 0), ("0", 1), ("1", 0)]
    # Another example may ask the same.
    twin = make_predictions(AXES, make_example("twin"), [prompts[0]], [PromptAnswers(made_by, answered[prompts[0].prompt])])
    known = known_answers([*records, *twin])
    assert known.keys() == answered.keys()
    for prompt, answers in answered.items():
        assert known[prompt] == (made_by, [one._replace(token_ids=[]) for one in answers])


@pytest.mark.parametrize("choice", [{"text": "half \ud83d"}, {"message": {"content": "half \ud83d"}}])
def test_answer_of_a_server_that_ends_in_half_a_character_can_be_kept(choice):
    reply = {"choices": [choice | {"finish_reason": "length"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert read_reply(reply, queue_s=0, compute_s=1, in_flight=1).text == "half ?"
