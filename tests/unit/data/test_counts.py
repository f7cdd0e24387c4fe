import json

from loragrid.data.counts import count_examples, count_mixes, example_lengths, summarise_lengths
from loragrid.data.render import make_renderer
from loragrid.data.tokens import tokenise, write_tokens
from loragrid.layout import Dataset
from loragrid.records import write_records


def test_kept_and_dropped_examples_are_counted_by_reason(tmp_path):
    dropped = {"train": {"empty output": ["1", "2"], "repeated": ["3"]}, "validation": {}, "test": {}}
    manifest = {"task": "t", "sample_type": "s", "examples": {"train": 5, "validation": 2, "test": 1}, "dropped": dropped}
    manifest |= {"cut": {"validation": {"asked": 0.1, "of": 60, "rows": 2}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    leaks = tmp_path / "t" / "s" / "leaks.json"
    leaks.parent.mkdir(parents=True)
    leaks.write_text('{"train": {"7": ["t/s", "u/s"], "8": ["u/s"]}, "validation": {}, "by_output": {"train": {"9": ["t/s"]}}}')
    rows = count_examples([tmp_path / "manifest.json"], [leaks]).to_dict("records")
    assert rows[0] == {
        "task": "t", "sample_type": "s", "split": "train", "examples": 5, "dropped": 3, "reasons": "empty output: 2; repeated: 1",
        "leaks": 2, "own_leaks": 1, "cut": "",
    }  # fmt: skip
    assert rows[1]["cut"] == "2 of 60 rows (0.0333) for a share of 0.1"
    without = count_examples([tmp_path / "manifest.json"], [])
    assert without[["leaks", "own_leaks"]].to_numpy().tolist() == [[0, 0]] * 3
    assert [(row["split"], row["examples"], row["dropped"]) for row in rows[1:]] == [("validation", 2, 0), ("test", 1, 0)]


def test_mixes_are_counted_by_part_and_component(tmp_path):
    manifest = {"task": "t", "sample_type": "s", "mix": "m", "nb_samples": 4, "mix_seed": 1}
    manifest |= {"examples": {"train": {"t": 4, "u": 3}, "validation": {"t": 2}}}
    manifest |= {"left_out_because_tested": {"train": {"t": [], "u": ["9"]}, "validation": {"t": [], "u": []}}}
    manifest |= {"why_left_out": {"train": {"u": {"same question": 1}}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    counts = (
        count_mixes([tmp_path / "manifest.json"])[["part", "component", "examples", "left_out_because_tested", "why"]]
        .to_numpy()
        .tolist()
    )
    assert counts == [
        ["train", "t", 4, 0, ""], ["train", "u", 3, 1, "same question: 1"], ["validation", "t", 2, 0, ""], ["validation", "u", 0, 0, ""]
    ]  # fmt: skip


def test_lengths_are_counted_in_characters_words_and_tokens(tmp_path, monkeypatch, tokenizer, make_example):
    monkeypatch.chdir(tmp_path)
    examples = [make_example("1", input="one", output="a b"), make_example("2", input="one two three", output="a b c d")]
    write_records("results/datasets/t/s/train.jsonl", examples)
    write_tokens("results/tokens/model/t/s.parquet", tokenise(make_renderer(tokenizer), {"train": examples}))
    files = ["results/datasets/t/s/train.jsonl"], ["results/tokens/model/t/s.parquet"]
    lengths = example_lengths(*files, lambda path: Dataset.of(path).name)
    table = summarise_lengths(lengths).set_index(["field", "unit"])
    assert set(table["of"]) == {"t/s"}
    assert table.loc[("input", "characters"), ["min", "mean", "median", "max"]].tolist() == [3, 8, 8, 13]
    assert table.loc[("output", "words"), ["min", "mean", "median", "max"]].tolist() == [2, 3, 3, 4]
    tokens = [len(tokenizer(text).input_ids) for text in ("a b", "a b c d")]
    assert table.loc[("output", "tokens"), ["min", "max"]].tolist() == tokens
    assert table.loc[("output", "tokens"), "tokenizer"] == "model"
