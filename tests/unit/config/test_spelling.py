import copy
from pathlib import Path

import pytest
import yaml

from loragrid.config.load import parse_config
from loragrid.config.spelling import check_files, misspelled_texts
from loragrid.errors import UserError

DEFAULT = Path(__file__).parents[3] / "config" / "config.yaml"


@pytest.fixture
def raw():
    return copy.deepcopy(yaml.safe_load(DEFAULT.read_text()))


def test_all_files_are_checked_and_all_mistakes_told(tmp_path):
    for name, text in {"a.yaml": "x: 1\nx: 2\ny: 010\n", "b.yaml": "x: [\n", "c.yaml": "x: 1\n"}.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        check_files(sorted(tmp_path.iterdir()))
    assert [line.removeprefix(f"{tmp_path}/")[:14] for line in str(caught.value).splitlines()] == [
        "a.yaml, line 2",
        "a.yaml, line 3",
        "b.yaml, line 2",
    ]


def test_configurations_of_the_repository_have_no_mistake():
    check_files(DEFAULT.parent.rglob("*.yaml"))


def test_text_that_yaml_took_for_a_number_is_named_where_it_became_another_text(raw, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("tasks: {challenge: {instruction: 1.50}}\nreport: {title: 2, examples: 1_0}\n")
    raw["tasks"]["challenge"]["instruction"] = 1.50
    raw["report"] = {"title": 2, "examples": 10}
    assert list(misspelled_texts(parse_config(raw), [path])) == [
        f"{path}, line 1, column 34: YAML reads 1.50 as 1.5; put it in quotes."
    ]


def test_text_that_another_file_replaces_is_no_mistake(raw, tmp_path):
    (tmp_path / "c.yaml").write_text("tasks: {challenge: {instruction: 1.50}}\n")
    assert list(misspelled_texts(parse_config(raw), [tmp_path / "c.yaml"])) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (False, "expected text, not false, as YAML reads no and off; put it in quotes if it is text."),
        (True, "expected text, not true, as YAML reads yes and on; put it in quotes if it is text."),
        (yaml.safe_load("2024-01-02"), "expected text, not the date 2024-01-02; put it in quotes if it is text."),
    ],
)
def test_word_that_yaml_took_for_something_else_needs_quotes(raw, value, message):
    raw["grid"][0]["sample_types"] = [value]
    with pytest.raises(UserError) as caught:
        parse_config(raw)
    assert str(caught.value) == f"grid[0].sample_types[0]: {message}"


def renamed(section, name, other):
    return lambda raw: section(raw).update({other: copy.deepcopy(section(raw)[name])})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (renamed(lambda raw: raw["models"], "smollm2-135m", "SmolLM2-135M"), "models.SmolLM2-135M: 'smollm2-135m' is the same name but for case; choose another."),
        (renamed(lambda raw: raw["tasks"], "challenge", "Challenge"), "tasks.Challenge: 'challenge' is the same name but for case"),
        (renamed(lambda raw: raw["tasks"]["challenge"]["sample_types"], "auto", "AUTO"), "tasks.challenge.sample_types.AUTO: 'auto' is the same name but for case"),
        (lambda raw: raw.update(configs=raw["configs"] | {"x": {"rank": 1}, "X": {"rank": 2}}), "configs.X: 'x' is the same name but for case"),
        (lambda raw: raw["encoders"].update({"SMOLLM2-135m": raw["encoders"]["minilm-l6"]}), "encoders.SMOLLM2-135m: a base model has this name already."),
        (lambda raw: raw.update(decodings={"Greedy": {}}), "decodings.Greedy: this name is kept for what is there without being listed"),
        (renamed(lambda raw: raw["models"], "smollm2-135m", "External"), "models.External: this name is kept for external predictions"),
    ],
)  # fmt: skip
def test_names_that_differ_only_in_case_are_refused(raw, change, sentence):
    change(raw)
    with pytest.raises(UserError) as caught:
        parse_config(raw)
    assert any(line.startswith(sentence) for line in str(caught.value).splitlines()), str(caught.value)
