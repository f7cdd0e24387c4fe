"""The job that measures how likely given texts are as answers."""

import json
import math
import time
from contextlib import contextmanager

import pytest

from loragrid.data.render import Rendered
from loragrid.errors import DamagedError, UserError
from loragrid.inference.engines.hf import HfEngine
from loragrid.inference.likelihoods import AskedText, MeasureFiles, MeasureJob, measure_all, measure_claimed
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.protocol import Engine, GivenText, prediction_identity
from loragrid.inference.settings import MeasureSettings
from loragrid.records import Likelihood, read_records, write_records

CHOICES = ["yes", "no", "{{ metadata.third }}"]
TOLD = {
    "version": 1,
    "axes": {"task": "t"},
    "model": {"dtype": "float32", "prompt_format": "x", "template": "{{ instruction }} {{ input }}\n", "engine": {"type": "hf"}},
    "quantization": "none",
    "prompting": {"type": "zero_shot"},
    "instruction": None,
    "max_new_tokens": 4,
    "subset": None,
    "references": True,
    "choices": [CHOICES],
}


@pytest.fixture
def work(tmp_path, monkeypatch, tiny_model, make_example):
    """Measures examples; gives the records. An engine notes what it was asked, and may stop after some texts."""
    monkeypatch.chdir(tmp_path)
    asked = []

    def measure_with(stop_after=None):
        def measure(texts, measured):
            for i, one in enumerate(texts):
                if i not in measured:
                    if stop_after is not None and len(asked) >= stop_after:
                        raise UserError("stopped")
                    asked.append(one)
                    yield {i: [-1.0] * len(one.token_ids)}

        @contextmanager
        def opened(engine, model):
            yield Engine("e", "1", print, "cpu", "float32", measure)

        return opened

    def run(*examples, stop_after=None, kept_in=None, **told):
        write_records("test.jsonl", examples)
        of_model = ModelFiles(*(str(tiny_model / name) for name in ("model.safetensors", "config.json", "tokenizer.json")))
        files = MeasureFiles("results/l/a.jsonl", "results/l/a.manifest.json", "test.jsonl", of_model, kept_in=kept_in)
        job = MeasureJob("m", MeasureSettings.model_validate(TOLD | told), HfEngine(type="hf"), files, 1)
        measure_claimed(job, time.perf_counter(), measure_with(stop_after))
        return read_records("results/l/a.jsonl", Likelihood)

    run.asked = asked
    run.make = lambda name, third="maybe", **fields: make_example(name, metadata={"third": third}, **fields)
    return run


def test_references_and_choices_are_measured_each_once(work):
    records = work(work.make("a", output="yes"), work.make("b", third=" "))
    found = [(one.id, one.text, one.is_reference) for one in records]
    assert found == [
        ("a", "yes", True),
        ("a", "no", False),
        ("a", "maybe", False),
        ("b", "answer b", True),
        ("b", "yes", False),
        ("b", "no", False),
    ]


def test_only_what_a_scorer_reads_is_measured(work):
    assert [one.text for one in work(work.make("a"), choices=[])] == ["answer a"]
    assert [one.text for one in work(work.make("a"), references=False)] == ["yes", "no", "maybe"]


def test_tokens_are_those_of_the_text_alone_and_stand_behind_the_prompt(work, tokenizer):
    [record] = work(work.make("a"), choices=[])
    [given] = work.asked
    assert given.prompt.prompt == "Answer. question a\n"
    assert record.prompt_tokens == len(given.prompt.prompt_ids)
    assert tokenizer.decode(record.token_ids) == "answer a"
    assert record.logprobs == [-1.0] * len(record.token_ids)


def test_all_texts_of_an_example_stand_behind_the_same_prompt_although_one_is_long(work):
    example = work.make("a", input="word " * 600, output="long " * 100)
    work(example)
    [prompt] = {tuple(one.prompt.prompt_ids) for one in work.asked}
    longest = max(len(one.token_ids) for one in work.asked)
    assert len(work.asked) == 4
    assert 512 - 8 <= len(prompt) + longest + 1 <= 512


def test_text_for_which_no_prompt_has_room_is_an_error(work):
    with pytest.raises(
        UserError, match=r"test.jsonl, example a: the prompt does not fit into the model's context with \d+ tokens"
    ):
        work(work.make("a", output="long " * 600))


def test_template_that_does_not_fit_an_example_is_an_error(work):
    with pytest.raises(UserError, match=r"test.jsonl, example a: choices\[1\]: .*fourth"):
        work(work.make("a"), choices=[["yes", "{{ metadata.fourth }}"]])


def test_each_prompt_of_an_example_has_its_own_reference(work):
    several = {"prompts": ["one", "two"], "output": ["1", "2"], "answers": "each"}
    records = work(work.make("a", **several), choices=[])
    assert [(one.part, one.text) for one in records] == [(0, "1"), (1, "2")]
    assert [one.prompt.prompt for one in work.asked] == ["Answer. one\n", "Answer. two\n"]


def test_several_references_are_all_measured_and_an_empty_one_has_no_tokens(work):
    records = work(work.make("a", output=["x", ""]), choices=[])
    assert [(one.text, bool(one.logprobs)) for one in records] == [("x", True), ("", False)]
    assert len(work.asked) == 1


def test_an_interrupted_job_goes_on_and_gives_the_same(work):
    examples = [work.make(name) for name in "abc"]
    with pytest.raises(UserError, match="stopped"):
        work(*examples, stop_after=5)
    records = work(*examples)
    assert len(work.asked) == 12, "nothing is measured twice"
    assert [one.text for one in records if one.id == "c"] == ["answer c", "yes", "no", "maybe"]


def test_what_was_measured_of_other_files_is_not_gone_on_from(work):
    with pytest.raises(UserError, match="stopped"):
        work(work.make("a"), stop_after=3)
    work(work.make("a"), work.make("b"))
    assert len(work.asked) == 3 + 8


def test_manifest_says_what_was_told_and_guards_the_file(work, tmp_path):
    records = work(work.make("a"))
    told = json.loads((tmp_path / "results/l/a.manifest.json").read_text())
    assert (told["texts"], told["tokens"]) == (4, sum(len(one.token_ids) for one in records))
    assert (told["choices"], told["stage_version"], told["engine"]) == ([CHOICES], 1, "e")
    path = tmp_path / "results/l/a.jsonl"
    path.write_text(path.read_text().replace("-1.0", "-2.0", 1))
    with pytest.raises(DamagedError, match="SHA-256"):
        read_records(path, Likelihood)


def test_an_engine_that_cannot_measure_is_said_in_a_sentence(work, monkeypatch):
    from loragrid.inference import likelihoods

    with pytest.raises(UserError, match="engine e: it does not tell how likely a given text is"):
        likelihoods.measure_all(Engine("e", "1", print, "cpu", "float32"), [])


@pytest.mark.parametrize("told", [[-1.0], [-1.0, -math.inf], [-1.0, math.nan]])
def test_an_engine_that_does_not_tell_a_number_for_each_token_is_an_error(told, tmp_path):
    text, journal = GivenText(Rendered("", [5], [], False), "", [6, 7]), tmp_path / "journal.jsonl"
    engine = Engine("e", "1", print, "cpu", "float32", lambda texts, measured: iter([{0: told}]))
    with pytest.raises(UserError, match="engine e: it does not tell a finite log-probability for each token of a text"):
        measure_all(engine, [AskedText("a", 0, True, text)], journal)
    assert not journal.exists()


def test_journals_of_predictions_have_the_names_that_they_had_before_engines_could_measure():
    """Worked out before engines had the field `measure`."""
    from loragrid.inference.protocol import Decoding

    engine = Engine("e", "5.0", print, "cpu", "float32", measure=print)
    assert prediction_identity("p.jsonl", {"a": 1}, {}, Decoding(6), engine, {}) == "a7f88a2bd3db9744c8eb58c9e78fdd68"
