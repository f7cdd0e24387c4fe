import json
from pathlib import Path

import pyarrow as pa
import pytest

from loragrid.config.load import parse_config
from loragrid.data.tokens import schema, write_tokens
from loragrid.grid.runs import expand_grid
from loragrid.planning.history import Recorded
from loragrid.planning.jobs import Job
from loragrid.planning.lengths import FIRST_ANSWER, FIRST_PROMPT, FIRST_ROWS, split_lengths
from loragrid.planning.workload import Work, seen_examples, workload
from loragrid.training.methods import parse_training


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch, request):
    (tmp_path / "data").symlink_to(request.config.rootpath / "data")
    monkeypatch.chdir(tmp_path)


def make_config(**changes):
    raw = {
        "models": {"m-135M": {"source": {"package": "m==1", "path": "m.gguf"}}},
        "sources": {"d": {"package": "d==1", "splits": {s: {"path": s, "rows": 50} for s in ("train", "validation", "test")}}},
        "tasks": {
            "t": {
                "source": "d",
                "instruction": "Do.",
                "input": "{{ x }}",
                "sample_types": {"manual": {"output": "{{ y }}"}, "auto": {"output": "{{ z }}"}},
                "scorers": ["exact_match"],
                "baselines": [],
                "max_new_tokens": 8,
                "subset": 10,
            }
        },
        "mixes": {"target_only": {"recipe": "target_only", "nb_validation": 4}},
        "configs": {"lora": {"epochs": 3, "batch_size": 2, "max_length": 100, "evaluations": 2}},
        "scorers": {"exact_match": {"type": "exact_match"}},
        "grid": [
            {
                "base_models": ["m-135M"],
                "tasks": ["t"],
                "sample_types": ["manual", "auto"],
                "mixes": ["target_only"],
                "nb_samples": [6],
                "configs": ["lora"],
            }
        ],
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        place = raw
        for part in path:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value
    return parse_config(raw)


def tokenise(prompt, answer, rows=50, prompts=1):
    """Every prompt of every split has as many tokens."""
    lines = [
        {"id": f"{split}{i}", "split": split, "prompt_ids": [1] * prompt, "answer_ids": [1] * answer, "input_tokens": 1}
        for split in ("train", "validation", "test")
        for i in range(rows)
        for _ in range(prompts)
    ]
    for sample_type in ("manual", "auto"):
        path = Path(f"results/tokens/m-135M/t/{sample_type}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tokens(path, pa.Table.from_pylist(lines, schema=schema()))


def job(rule, **wildcards):
    return Job(rule, {"base_model": "m-135M", "task": "t", "sample_type": "manual", "variant": ""} | wildcards, True)


def training(config, sample_type="manual"):
    [run] = [run for run in expand_grid(config) if run.sample_type == sample_type]
    return job("train", run=run.name, sample_type=sample_type)


def work_of(config, job, history=()):
    [work], _ = workload(config, [job], history)
    return work


def test_training_meets_each_example_in_each_epoch_and_validation_costs_half():
    tokenise(30, 10)
    config = make_config()
    work = work_of(config, training(config))
    assert work == Work(tokens=6 * 40 * 3, new=6 * 10 * 3, effort=6 * 40 * 3 + 0.5 * 4 * 40 * 2)


def test_full_loss_learns_every_token():
    tokenise(30, 10)
    config = make_config(grid__0__loss_computations=["full"])
    work = work_of(config, training(config))
    assert work.new == work.tokens == 6 * 40 * 3


def test_examples_are_cut_at_the_longest_length():
    tokenise(300, 10)
    config = make_config()
    assert work_of(config, training(config)).tokens == 6 * 100 * 3


def test_each_prompt_of_an_example_is_trained_on():
    tokenise(30, 10, prompts=3)
    config = make_config()
    work = work_of(config, training(config))
    assert work == Work(tokens=3 * 6 * 40 * 3, new=3 * 6 * 10 * 3, effort=3 * (6 * 40 * 3 + 0.5 * 4 * 40 * 2))


def test_validations_go_by_steps():
    tokenise(30, 10)
    # Two examples a step by number, one by tokens: 18 examples are 9 or 18 steps.
    for settings, validations in (({"batch_size": 2}, 3), ({"batch_tokens": 40}, 6)):
        config = make_config(configs__lora={"epochs": 3, "max_length": 100, "validate_every": 3} | settings)
        assert work_of(config, training(config)).effort == 6 * 40 * 3 + 0.5 * 4 * 40 * validations


def test_other_tasks_of_a_mix_count():
    tokenise(30, 10)
    config = make_config(
        mixes__target_only={"recipe": "fractional", "tasks": ["t", "u"], "nb_others": 20, "nb_validation": 0},
        tasks__u={
            "source": "d",
            "instruction": "Do.",
            "input": "x",
            "sample_types": {"manual": {"output": "y"}, "auto": {"output": "y"}},
        }
        | {"scorers": ["exact_match"], "max_new_tokens": 8},
    )
    # The other task is unknown.
    assert work_of(config, training(config)).tokens == pytest.approx(3 * (6 * 40 + 20 * min(FIRST_PROMPT + 8, 100)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"epochs": 2.5}, 25), ({"max_steps": 7, "batch_size": 4}, 28), ({"max_steps": 7, "batch_tokens": 200}, 7 * 200 / 50)],
)
def test_steps_go_before_epochs(settings, expected):
    assert seen_examples(parse_training(settings), in_mix=10, tokens=50) == expected


def test_answers_are_as_long_as_references_but_no_longer_than_allowed():
    tokenise(30, 5)
    assert work_of(make_config(), job("predict", run="base")) == Work(tokens=10 * 35, new=50, effort=10 * 35)
    tokenise(30, 500)
    assert work_of(make_config(), job("predict", run="base")).new == 10 * 8


def test_answers_are_as_long_as_recorded_ones():
    tokenise(30, 5)
    history = [Recorded("predict", "m-135M", "t", 1.0, 0, None, new_per_answer=7.0)]
    assert work_of(make_config(), job("predict", run="base"), history).new == 10 * 7


def test_shown_examples_and_several_samples_are_counted():
    tokenise(30, 5)
    config = make_config(
        promptings={"three": {"type": "few_shot", "k": 3}},
        decodings={"warm": {"temperature": 1, "samples": 4}},
        grid__0__promptings=["three"],
        grid__0__decodings=["warm"],
    )
    work = work_of(config, job("predict", run="base", variant="~three~default~warm"))
    assert work.tokens == 10 * 4 * (30 + 3 * 35 + 5)


def test_same_questions_of_another_sample_type_are_not_asked_again():
    tokenise(30, 5)
    assert work_of(make_config(), job("predict", run="base", sample_type="auto")) == Work()
    # Runs that are trained on it are asked nowhere else.
    config = make_config()
    own = job("predict", run=training(config, "auto").wildcards["run"], sample_type="auto")
    assert work_of(config, own).tokens == 10 * 35


def test_no_more_is_asked_than_there_is():
    tokenise(30, 5, rows=4)
    assert work_of(make_config(), job("predict", run="base")).new == 4 * 5
    assert work_of(make_config(tasks__t__subset=None), job("predict", run="base")).new == 4 * 5


def test_judge_is_asked_once_an_answer_and_twice_about_pairs():
    tokenise(30, 5)
    asked = {"type": "judge", "model": "j", "max_new_tokens": 100}
    config = make_config(
        scorers__single=asked | {"rubric": "both_0_10"},
        scorers__pairs=asked | {"rubric": "pairwise"},
        tasks__t__scorers=["single", "pairs"],
    )
    single, pairs = (work_of(config, job("score", run="base", scorer=name)) for name in ("single", "pairs"))
    assert (single.requests, pairs.requests) == (10, 20)
    assert single.new == 10 * 100
    assert single.tokens - single.new > 10 * 40
    # What it is known to use goes before.
    scores = Path("results/scores/t/manual/m-135M/base")
    scores.mkdir(parents=True)
    usage = {"usage": {"calls": 2, "prompt_tokens": 600, "new_tokens": 60}}
    (scores / "single.jsonl").write_text(json.dumps(usage) + "\n" + json.dumps({"usage": {}}) + "\n")
    single = work_of(config, job("score", run="base", scorer="single"))
    assert (single.tokens, single.new) == (10 * 330, 10 * 30)


def test_jobs_whose_time_does_not_go_by_tokens_have_none():
    works, _ = workload(make_config(), [job("score", run="base", scorer="exact_match"), job("check", run="base")], [])
    assert works == [Work(), Work()]


def test_lengths_are_counted_else_from_characters_else_guessed():
    config = make_config()

    def lengths():
        return split_lengths(config, "m-135M", "t", "manual", "test")

    guess = lengths()
    assert (guess.prompts, guess.answers, guess.examples) == ([FIRST_PROMPT], [min(FIRST_ANSWER, 8)], 50)
    Path("results/datasets/t/manual").mkdir(parents=True)
    rows = [{"instruction": "abcd", "input": "e" * 8, "output": ["f" * 5, "g"]}, {"instruction": "", "input": "", "output": "f"}]
    rows.append({"instruction": "", "input": "", "prompts": ["a" * 4, "a" * 8], "output": ["b" * 4, "b" * 12]})
    Path("results/datasets/t/manual/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    measured = lengths()
    assert (measured.prompts, measured.answers) == ([3, 0, 1, 2], [2, 1, 1, 3])
    assert (measured.examples, measured.prompts_per_example) == (3, 4 / 3)
    tokenise(30, 5, rows=7)
    counted = lengths()
    assert (counted.prompts, counted.answers, counted.examples) == ([30] * 7, [5] * 7, 7)
    assert [lengths.basis for lengths in (guess, measured, counted)] == ["guess", "characters", "tokens"]


def test_unknown_data_is_guessed():
    config = make_config(sources__d={"hub": "o/d", "revision": "1", "splits": {"train": "train", "test": "test"}})
    assert split_lengths(config, "m-135M", "t", "manual", "train").examples == FIRST_ROWS
    # What is asked for at most is nearer than any guess.
    assert split_lengths(config, "m-135M", "t", "manual", "test").examples == 10
