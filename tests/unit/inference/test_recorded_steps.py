"""Generation as on a GPU, with stand-ins for its kernels and graphs."""

import contextlib
import gc
import weakref
from types import SimpleNamespace

import pytest
import torch
from peft import PeftType

from architectures import make_model
from loragrid.data.render import Rendered
from loragrid.errors import UserError
from loragrid.inference import recorded_steps
from loragrid.inference.batching import answer_with
from loragrid.inference.from_cache import Answers, attends_from_cache
from loragrid.inference.generation import generate_together
from loragrid.inference.protocol import Decoding, generate
from loragrid.inference.recorded_steps import recorder_of, take_step
from loragrid.training.methods import LoraTraining
from recordings import record_on_cpu
from stand_ins import varlen_on_cpu

BEGINNING = [7, 8, 9, 11, 12, 13, 14]
PROMPTS = [[*BEGINNING, *range(20, 20 + n)] for n in (1, 9, 3, 3, 12)] + [[5, 6], [250]]


@pytest.fixture
def model():
    return make_model("llama")


@pytest.fixture
def on_gpu(monkeypatch):
    """Let steps be recorded as on a GPU. Gives the list of recordings; a recorder may be given."""
    recordings = []

    def use(record=record_on_cpu):
        def noting(step):
            recordings.append(step.args[1].cache.rows)
            return record(step)

        monkeypatch.setattr("loragrid.inference.generation.recorder_of", lambda model: noting)
        return recordings

    return use


def answers(model, decoding, ends=(2,), is_stopped=lambda ids: False, prompts=PROMPTS):
    found = generate_together(model, prompts, range(len(prompts)), decoding, ends, 2, is_stopped)
    assert all(one.compute_s > 0 for one in found)
    return [one.token_ids for one in found]


def ending(model, steps):
    """End tokens by which answers end at different times, one for each number of steps and prompt in turn."""
    free = answers(model, Decoding(max(steps) + 1))
    return sorted({free[i][step] for i, step in enumerate(steps)})


@pytest.mark.parametrize("kernel", [contextlib.nullcontext, varlen_on_cpu], ids=["prompt by prompt", "kernel"])
# With grouped heads; with a window in every layer, in some layers; with experts; with learnt positions.
@pytest.mark.parametrize("kind", ["llama", "mistral", "gemma3_text", "mixtral", "opt"])
def test_recorded_steps_answer_as_the_host_does_step_by_step(kind, kernel, on_gpu):
    model = make_model(kind)
    ends = ending(model, [3, 12, 1, 7])
    expected = answers(model, Decoding(14), ends)
    assert len({len(ids) for ids in expected}) > 1
    recordings = on_gpu(take_step if kind == "mixtral" else record_on_cpu)
    with kernel():
        assert answers(model, Decoding(14), ends) == expected
    assert recordings == [len(PROMPTS)]


def test_recorded_steps_go_through_an_adapter(on_gpu):
    adapted = LoraTraining().make_trainable(make_model("llama"), 1).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    expected = answers(adapted, Decoding(12))
    assert expected != answers(make_model("llama"), Decoding(12))
    on_gpu()
    with varlen_on_cpu():
        assert answers(adapted, Decoding(12)) == expected


@pytest.mark.parametrize("more", [{"temperature": 1.0, "top_k": 20}, {"repetition_penalty": 1.8}, {"min_new_tokens": 6}])
def test_host_chooses_where_a_choice_needs_more_than_the_largest_logit(model, more, on_gpu):
    ends = ending(model, [3, 10, 1])
    expected = answers(model, Decoding(12, **more), ends)
    assert expected != answers(model, Decoding(12), ends)
    on_gpu()
    assert answers(model, Decoding(12, **more), ends) == expected


@pytest.mark.parametrize("most", [1, 2, 8, 9, 10, 17])
def test_answers_end_at_the_most_tokens_that_are_allowed_and_at_words(model, most, on_gpu):
    """Whether that is before, at or behind a look of the host."""
    free = answers(model, Decoding(17))

    def is_stopped(ids):
        return ids[-2:] == free[1][4:6] or ids[-1] == free[4][10]

    expected = answers(model, Decoding(most), is_stopped=is_stopped)
    on_gpu()
    assert answers(model, Decoding(most), is_stopped=is_stopped) == expected


def test_host_looks_at_several_steps_at_once(model, on_gpu, monkeypatch):
    looks, add = [], Answers.add
    monkeypatch.setattr(Answers, "add", lambda self, i, tokens: looks.append(len(tokens)) or add(self, i, tokens))
    on_gpu()
    answers(model, Decoding(20), prompts=PROMPTS[:1], ends=[])
    assert looks == [1, 8, 8, 3]


def test_finished_rows_leave_in_halves_and_each_time_a_step_is_recorded_anew(model, on_gpu, monkeypatch):
    monkeypatch.setattr(recorded_steps, "_LOOK_EVERY", 2)
    monkeypatch.setattr(recorded_steps, "_WORTH_DROPPING", 4)
    lengths = [3, 30, 5, 5, 13, 4, 7]

    def is_stopped(ids):
        return len(ids) == lengths[beginnings.index(ids[0])]

    beginnings = [ids[0] for ids in answers(model, Decoding(1), prompts=PROMPTS)]
    assert len(set(beginnings)) == len({str(prompt) for prompt in PROMPTS})
    expected = answers(model, Decoding(24), ends=[], is_stopped=is_stopped)
    assert [len(ids) for ids in expected] == [min(length, 24) for length in lengths]
    for more in ({}, {"temperature": 1e-4}):
        recordings = on_gpu()
        recordings.clear()
        assert answers(model, Decoding(24, **more), ends=[], is_stopped=is_stopped) == expected
        assert recordings == [7, 3, 1]
    # For the few tokens that may still follow, dropping rows is not worth a recording.
    monkeypatch.setattr(recorded_steps, "_WORTH_DROPPING", 32)
    recordings.clear()
    assert answers(model, Decoding(24), ends=[], is_stopped=is_stopped) == expected
    assert recordings == [7]


def test_masks_of_a_recording_that_failed_are_not_used(model, on_gpu):
    def record(step):
        step()
        cache = step.args[1].cache
        assert not cache.allowed
        cache.allowed[None] = torch.zeros(cache.rows, 1, 1, cache.capacity, dtype=torch.bool)
        return step

    expected = answers(model, Decoding(12))
    on_gpu(record)
    assert answers(model, Decoding(12)) == expected


def test_few_steps_are_not_recorded(model, on_gpu):
    recordings = on_gpu()
    expected = answers(model, Decoding(8))
    assert recordings == []
    answers(model, Decoding(9))
    assert recordings == [len(PROMPTS)]
    assert [len(ids) for ids in expected] == [8] * len(PROMPTS)


def test_kernel_reads_whole_prompts_in_long_rows_and_nothing_else_does(model, on_gpu, monkeypatch):
    assert attends_from_cache(model)
    on_gpu()
    passes, forward = [], model.forward
    monkeypatch.setattr(model, "forward", lambda **inputs: passes.append(inputs["input_ids"].shape[1]) or forward(**inputs))
    total = sum(map(len, PROMPTS[:5]))
    answers(model, Decoding(1), prompts=PROMPTS[:5])
    assert passes == [7, total - 5 * 7]
    passes.clear()
    with varlen_on_cpu():
        answers(model, Decoding(1), prompts=PROMPTS[:5])
        assert passes == [total]
        monkeypatch.setattr("loragrid.inference.from_cache._KERNEL_ROW_TOKENS", 30)
        passes.clear()
        answers(model, Decoding(1), prompts=PROMPTS[:5])
        assert passes == [24, 20, 19]
        # The kernel knows no heads of 4 numbers.
        small = make_model("llama", head_dim=4)
        assert answers(small, Decoding(3)) == answers(small, Decoding(3))


def test_logits_that_are_no_numbers_are_found_when_the_host_looks(model, on_gpu):
    free = answers(model, Decoding(12), ends=[], prompts=PROMPTS[:1])[0]
    token = next(token for token in free[3:] if free.count(token) == 1 and token not in PROMPTS[0])
    model.get_input_embeddings().weight.data[token] = torch.nan
    on_gpu()
    with pytest.raises(UserError, match="the model's logits are not numbers"):
        answers(model, Decoding(12), ends=[], prompts=PROMPTS[:1])
    # What comes behind the end of an answer does not count.
    assert answers(model, Decoding(12), ends=[token], prompts=PROMPTS[:1]) == [free[: free.index(token) + 1]]


@pytest.fixture
def no_collector():
    """What is freed is freed at once, because nothing holds it."""
    gc.disable()
    yield
    gc.enable()


def test_batch_is_halved_and_its_memory_freed_where_recording_runs_out_of_memory(model, on_gpu, monkeypatch, no_collector):
    caches = []

    def record(step):
        caches.append(weakref.ref(step.args[1].cache))
        if step.args[1].cache.rows > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return record_on_cpu(step)

    def free():
        assert all(cache() is None for cache in caches)

    monkeypatch.setattr("loragrid.inference.batching.free_cached_memory", free)
    expected = answers(model, Decoding(12))
    recordings = on_gpu(record)
    tokenizer = SimpleNamespace(pad_token_id=2, decode=lambda ids, **_: str(ids))
    engine = answer_with(model, SimpleNamespace(tokenizer=tokenizer, end_of_turn=2), [2], 1000)
    found = generate(engine, [Rendered(str(ids), ids, [], False) for ids in PROMPTS], Decoding(12))
    assert [one.token_ids for [one] in found] == expected
    assert recordings[0] == 7
    assert max(recordings[2:]) <= 2
    free()


def on(device, kind="llama", **more):
    """A model that says that it is on a device."""
    model = type("Model", (), {"device": torch.device(device), "config": make_model(kind).config} | more)
    return model()


def test_steps_are_recorded_on_cuda_where_they_are_the_same_each_time(caplog):
    assert recorder_of(on("cpu")) is recorder_of(on("mps")) is None
    assert recorder_of(on("cuda")) is not take_step
    assert recorder_of(on("cuda", peft_config={"default": SimpleNamespace(peft_type=PeftType.LORA)})) is not take_step
    with caplog.at_level("INFO", logger="loragrid"):
        others = {"default": SimpleNamespace(peft_type=PeftType.BOFT)}
        for model in (on("cuda", "mixtral"), on("cuda", is_quantized=True), on("cuda", peft_config=others)):
            assert recorder_of(model) is recorder_of(model) is take_step
    # Once for each model, not for each batch.
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "which experts a token needs shows only on the way",
        "the weights are quantized",
        "the adapter's method may wait for the GPU on the way",
    ]


class Cuda:
    """What a recorder needs of `torch.cuda`: it notes what is done."""

    def __init__(self, monkeypatch, fails=None):
        self.done, self.fails, self.current = [], fails, "usual"
        for name in (
            "current_stream",
            "Stream",
            "stream",
            "synchronize",
            "CUDAGraph",
            "graph",
            "set_stream",
            "graph_pool_handle",
        ):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name, lambda: None))
        monkeypatch.setattr(recorded_steps, "end_recording", lambda device, pool: self.done.append(f"end of {pool}"))
        recorded_steps._side_stream.cache_clear()

    def current_stream(self):
        return self.current

    def Stream(self):  # noqa: N802
        return SimpleNamespace(wait_stream=lambda other: self.done.append(f"wait for {other}"))

    def set_stream(self, stream):
        self.current = stream

    @contextlib.contextmanager
    def stream(self, stream):
        self.current = "side"
        yield
        self.current = "usual"

    @contextlib.contextmanager
    def graph(self, graph, pool, stream):
        self.current = "recording"
        yield
        if self.fails:
            # As PyTorch does, it stays on the stream of the recording.
            raise self.fails
        self.current = "usual"

    def CUDAGraph(self):  # noqa: N802
        return SimpleNamespace(replay=lambda: self.done.append("replay"))

    def graph_pool_handle(self):
        return "pool"

    def step(self):
        self.done.append(self.current)


def test_step_is_taken_as_usual_beside_then_recorded_and_then_replayed(model, monkeypatch):
    cuda = Cuda(monkeypatch)
    repeat = recorded_steps._recorder(model)(cuda.step)
    repeat()
    repeat()
    assert cuda.done == ["wait for usual", "side", "recording", "replay", "replay"]
    recorded_steps._side_stream.cache_clear()


def test_model_whose_steps_cannot_be_recorded_goes_on_without_and_is_not_tried_again(model, monkeypatch, caplog):
    cuda = Cuda(monkeypatch, RuntimeError("operation not permitted when stream is capturing\nmore"))
    with caplog.at_level("INFO", logger="loragrid"):
        for _ in range(2):
            recorded_steps._recorder(model)(cuda.step)()
    # Recording a step does not take it.
    assert cuda.done == ["wait for usual", "side", "recording", "end of pool", "usual", "usual", "usual"]
    assert caplog.messages == ["decoding steps are not recorded: operation not permitted when stream is capturing"]
    recorded_steps._side_stream.cache_clear()


def test_recording_that_runs_out_of_memory_says_so_whatever_comes_of_it_and_keeps_nothing(model, monkeypatch, no_collector):
    cuda = Cuda(monkeypatch, RuntimeError("the recording failed"))
    cuda.fails.__context__ = torch.OutOfMemoryError("CUDA out of memory")

    def step():
        cuda.step()

    left = weakref.ref(step)
    with contextlib.suppress(torch.OutOfMemoryError):
        recorded_steps._recorder(model)(step)
        pytest.fail("the recording did not fail")
    cuda.fails = None
    del step
    assert left() is None
    assert cuda.current == "usual"
    assert model not in recorded_steps._unrecorded
    recorded_steps._side_stream.cache_clear()
