"""For any names: what a file is called, and whose it is, are inverses."""

import re
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid import layout
from loragrid.layout import (
    BASE,
    CONSTRAINTS,
    NAME,
    RESULTS,
    RULES,
    USUAL,
    VALIDATION,
    Dataset,
    Evaluation,
    Run,
    experiment_of,
    of_experiment,
)

FEW = settings(max_examples=60, deadline=None, derandomize=True)
NAMES = st.lists(st.text(string.ascii_letters + string.digits, min_size=1, max_size=3), min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from("._-").map(lambda mark: mark.join(parts))
)
NUMBERS = st.integers(0, 10**12)
RUNS = st.builds(Run, NAMES, NAMES, NAMES, NAMES, NUMBERS, NAMES, NAMES, NUMBERS)
PACKAGES = st.from_regex(r"[A-Za-z0-9._-]{1,8}==[A-Za-z0-9.+!]{1,8}", fullmatch=True)
ASKED = st.one_of(
    st.just(()),
    st.tuples(NAMES),
    st.tuples(NAMES, NAMES),
    st.tuples(NAMES, NAMES, NAMES),
    st.just((*USUAL[:2], "warm")),
    st.tuples(NAMES, NAMES, NAMES, st.just(VALIDATION)),
    st.just((*USUAL, VALIDATION)),
)
EVALUATIONS = st.builds(
    lambda run, asked, named: Evaluation(run.base_model, run.task, run.sample_type, named or run.name, *asked),
    RUNS,
    ASKED,
    st.sampled_from([BASE, "theirs", ""]),
)
JOBS = st.builds(
    lambda run, asked, names, package, kind: {
        **run.wildcards,
        **{"mix": run.mix, "nb_samples": str(run.nb_samples), "mix_seed": str(run.seed)},
        "variant": Evaluation(*run.wildcards.values(), *asked).variant,
        **dict(zip(("scorer", "prompting", "evaluation", "annotator"), names, strict=True)),
        **{"package": package, "kind": kind, "of_split": f"~{VALIDATION}" if asked[3:] else ""},
    },
    RUNS,
    ASKED,
    st.tuples(NAMES, NAMES, NAMES, NAMES),
    PACKAGES,
    st.sampled_from(["whl", "tar.gz"]),
)


@FEW
@given(RUNS)
def test_name_of_a_run_tells_the_run(run):
    assert Run.parse(run.name, run.base_model) == run
    assert re.fullmatch(layout.TRAINED_RUN, run.name)
    assert re.fullmatch(CONSTRAINTS["run"], run.name)


@FEW
@given(st.text(string.ascii_letters + "0_n.-~/ é\n", max_size=40))
def test_any_text_is_the_name_of_the_run_that_it_tells_or_of_none(text):
    run = Run.parse(text, "m")
    assert run is None or run.name == text


@FEW
@given(RUNS, RUNS)
def test_no_two_runs_of_a_base_model_share_a_name(one, other):
    other = other._replace(base_model=one.base_model)
    assert (one == other) == (one.name == other.name)


@FEW
@given(EVALUATIONS)
def test_place_of_predictions_tells_the_evaluation(evaluation):
    assert Evaluation.of_place(evaluation.place) == evaluation
    assert Evaluation.from_wildcards(evaluation.wildcards) == evaluation
    assert re.fullmatch(CONSTRAINTS["variant"], evaluation.variant)
    assert Evaluation.of_predictions(layout.PREDICT.path("predictions", evaluation.wildcards)) == evaluation
    scores = layout.SCORE.path("scores", evaluation.wildcards | {"scorer": "rouge"})
    assert Evaluation.of_scores(scores) == evaluation


@FEW
@given(EVALUATIONS, EVALUATIONS)
def test_no_two_evaluations_share_a_place(one, other):
    assert (one == other) == (one.place == other.place)


@settings(FEW, max_examples=15)
@given(JOBS, st.none() | NAMES)
def test_path_of_every_output_tells_its_job_in_any_experiment(job, name):
    for rule, files in RULES.items():
        own = files.of_experiment(name)
        for output, pattern in files.outputs.items():
            wildcards = {key: value for key, value in job.items() if f"{{{key}}}" in pattern}
            path = own.path(output, job)
            assert files.wildcards(output, path) == own.wildcards(output, path) == wildcards, (rule, path)
            assert files.named([path])[output].as_posix() == path
            assert experiment_of(path) == (name if files.is_own else None)
            assert experiment_of(own.log) == experiment_of(own.benchmark) == experiment_of(path)


@FEW
@given(JOBS, NAMES, NAMES)
def test_experiments_share_no_file_of_their_own(job, one, other):
    def paths(name):
        own = {rule: files.of_experiment(name) for rule, files in RULES.items() if files.is_own}
        return {path.format_map(job) for files in own.values() for path in (*files.outputs.values(), files.log, files.benchmark)}

    assert (one == other) == bool(paths(one) & paths(other))
    assert not paths(None) & paths(one)
    assert paths(one) == {of_experiment(path, one) for path in paths(None)}


@FEW
@given(NAMES, NAMES, st.sampled_from(["", "experiments/letters/"]))
def test_data_set_is_told_from_any_of_its_files(task, sample_type, folder):
    for files in (layout.PREPARE_DATASET, layout.DECONTAMINATE):
        for pattern in files.outputs.values():
            path = pattern.format(task=task, sample_type=sample_type).replace(RESULTS, f"{RESULTS}/{folder}".rstrip("/"), 1)
            assert Dataset.of(path) == Dataset(task, sample_type)


@FEW
@given(NAMES)
def test_names_are_names(name):
    assert re.fullmatch(NAME, name)
