"""`snakemake verify`: it finds damage of each kind in a finished grid, says what to delete, and the next snakemake mends it."""

import csv
import json
import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from loragrid.config.load import parse_config
from loragrid.grid.runs import Grid
from loragrid.planning.verification.listing import verify
from loragrid.runtime.journal import append_to_journal

RUN = "{0}__gold__target_only__n{1}__lora__completion__seed1"
FOLDER = "results/adapters/{0}/gold/tiny/" + RUN
ANSWERS = "results/predictions/{0}/gold/tiny/" + RUN + ".jsonl"
SCORES = "results/scores/{0}/gold/tiny/" + RUN + "/{2}.jsonl"
DATA, MIX = "results/datasets/{0}/gold", "results/mixes/{0}/gold/target_only/n{1}-seed1"


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 64
    path.write_bytes(content)


def rows(change):
    return lambda path: path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def cut(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def empty(path):
    path.write_bytes(b"")


def value(change):
    """Change the JSON in a file."""
    return lambda path: path.write_text(json.dumps(change(json.loads(path.read_text()))))


def of_other_text(lines):
    return [re.sub('("output": ?")', r"\1another ", line) for line in lines]


# What is damaged, how, what the list says about it, and what is to be deleted if it is another file.
DAMAGES = [
    ("results/models/tiny/tokenizer_config.json", flip, "SHA-256|not valid JSON", None),
    ("results/models/tiny/generation_config.json", empty, "it lists generation_config.json|SHA-256", "manifest.json"),
    (DATA.format("shout") + "/test.jsonl", rows(of_other_text), "its SHA-256 is", None),
    (DATA.format("shout") + "/validation.jsonl", cut, "not valid JSON", None),
    (DATA.format("echo") + "/leaks.json", empty, "not valid JSON", None),
    (DATA.format("echo") + "/manifest.json", cut, "not valid JSON", None),
    (MIX.format("shout", 4) + "/train.jsonl", rows(lambda lines: lines[1:]), "it has 3 rows, but", None),
    (MIX.format("shout", 8) + "/train.jsonl", rows(lambda lines: lines[::-1]), "its SHA-256 is", None),
    ("results/tokens/tiny/shout/gold.parquet", cut, "cannot be read as parquet", None),
    ("results/tokens/tiny/echo/gold.parquet", flip, "cannot be read as parquet", None),
    (FOLDER.format("shout", 4) + "/adapter_model.safetensors", flip, "SHA-256|NaN", None),
    (FOLDER.format("shout", 4) + "/loss.csv", rows(lambda lines: lines[:-1]), "SHA-256|a row for each step", None),
    (FOLDER.format("shout", 8) + "/adapter_config.json", value(lambda told: told | {"r": 99}), "SHA-256", None),
    (FOLDER.format("echo", 4) + "/adapter_model.safetensors", cut, "cannot be read as safetensors", None),
    (FOLDER.format("echo", 8) + "/manifest.json", empty, "not valid JSON", None),
    (FOLDER.format("echo", 8) + "/README.md", empty, "it is empty", None),
    (ANSWERS.format("shout", 4), empty, "it has 0 rows, but", None),
    (ANSWERS.format("shout", 8), rows(lambda lines: [*lines[:-1], lines[0]]), "is there again", None),
    (ANSWERS.format("echo", 4), rows(lambda lines: lines[::-1]), "its SHA-256 is", None),
    (ANSWERS.format("echo", 8).replace(".jsonl", ".manifest.json"), cut, "not valid JSON", None),
    ("results/checks/tiny/base.json", value(list), "expected a JSON object", None),
    (SCORES.format("shout", 4, "rouge"), empty, "", None),
    ("results/scores/shout/gold/tiny/base/rouge.jsonl", rows(lambda lines: lines[:-1]), "there is no row for answers", None),
    ("results/scores/shout/gold/tiny/base/exact_match.jsonl", empty, "there is no row|has no rows", None),
    ("results/scores/echo/gold/tiny/base/rouge.jsonl", rows(lambda lines: lines[::-1]), "not in the order", None),
    (
        "results/scores/echo/gold/tiny/base/exact_match.jsonl",
        rows(lambda lines: [line.replace('"exact_match", "metric"', '"other", "metric"') for line in lines]),
        "rows of other scorers",
        None,
    ),
    ("results/tables/scores.csv", cut, "expected|its last line", None),
    ("results/tables/scores.parquet", cut, "cannot be read as parquet", None),
    ("results/figures/loss_curves.svg", cut, "cannot be read as svg", None),
    ("results/figures/loss_curves.png", cut, "picture", None),
    ("results/figures/loss_curves.pdf", cut, "the end of the document is missing", None),
    ("results/report.html", cut, "the end of the page is missing", None),
]


@pytest.fixture
def project(changeable, monkeypatch):
    monkeypatch.chdir(changeable.folder)
    return changeable


def verified():
    return verify(Grid(parse_config(yaml.safe_load(Path("config/config.yaml").read_text()))), sys.stderr)


def test_each_kind_of_damage_is_found_with_its_file_and_what_to_delete(project):
    whole = verified()
    assert whole.damages == []
    assert whole.files > 100
    assert whole.hashed > 20
    for file, damage, _, _ in DAMAGES:
        damage(Path(file))
    found = verified()
    assert found.files == whole.files
    by_file = {damage.file: damage for damage in found.damages}
    for file, _, words, delete in DAMAGES:
        # Scores of damaged predictions cannot be compared; they are made again with these.
        if words:
            assert any(word in by_file[file].what for word in words.split("|")), by_file[file]
            assert by_file[file].delete == (file if delete is None else str(Path(file).with_name(delete)))
    assert by_file.keys() <= {file for file, *_ in DAMAGES}


def test_unfinished_work_is_read_too_and_left_as_it_is(project):
    states = {
        "results/.state/training/a/checkpoint.safetensors": b"cut",
        "results/.state/training/b/sharded/progress.json": b"{}",
        "results/.state/predictions/c.jsonl": b'{"journal": "c", "k": 1}\n{"k\n{"l": 2}\n',
        "results/.state/scores/rouge-d.jsonl": b'{"journal": "e"}\n',
        "results/.state/judgements/f.jsonl": b'{"k": 1}\n{"torn',
    }
    for file, content in states.items():
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_bytes(content)
    append_to_journal(Path("results/.state/predictions/whole.jsonl"), {"a": 1})
    found = {damage.file: damage.what for damage in verified().damages}
    again = " (a job leaves out what is damaged, and does it again)"
    assert found == {
        "results/.state/training/a/checkpoint.safetensors": f"Error while deserializing header: header too small{again}",
        "results/.state/training/b/sharded/progress.json": f"its progress lacks the loss curve{again}",
        "results/.state/predictions/c.jsonl": f"1 of 3 lines are damaged{again}",
        "results/.state/scores/rouge-d.jsonl": f"it is the journal of other work{again}",
    }
    assert {file: Path(file).read_bytes() for file in states} == states


def test_what_verify_says_to_delete_is_made_again_as_it_was(project):
    damaged = [
        FOLDER.format("shout", 4) + "/adapter_model.safetensors",
        ANSWERS.format("shout", 8),
        SCORES.format("echo", 4, "rouge"),
        "results/tables/scores.csv",
    ]
    before = {file: Path(file).read_bytes() for file in damaged}
    for file, damage in zip(damaged, (flip, empty, rows(lambda lines: lines[1:]), cut), strict=True):
        damage(Path(file))
    said = project.snakemake("verify", check=False)
    assert said.returncode != 0
    assert "4 of " in said.stdout + said.stderr
    with open("results/verify.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["delete"] for row in listed] == damaged
    for row in listed:
        Path(row["delete"]).unlink()
    project.snakemake()
    assert {file: Path(file).read_bytes() for file in damaged[:1] + damaged[2:]} == {
        file: content for file, content in before.items() if file != damaged[1]
    }
    answers = [
        [json.loads(line)["prediction"] for line in one.splitlines()]
        for one in (before[damaged[1]], Path(damaged[1]).read_bytes())
    ]
    assert answers[0] == answers[1]
    said = project.snakemake("verify")
    assert "files are whole" in said.stdout + said.stderr
