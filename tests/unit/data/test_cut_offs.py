import pytest

from loragrid.data.cut_offs import cut_off, list_cut_offs, sum_up, told
from loragrid.data.tokens import schema, write_tokens


@pytest.mark.parametrize(
    ("prompt", "inputs", "reference", "lost", "here"),
    [
        (400, 300, 112, 0, "whole"),
        (400, 300, 113, 1, "input cut"),
        (600, 550, 50, 50, "input cut"),
        (500, 100, 113, 101, "dropped"),
        (20, 10, 600, 108, "dropped"),
    ],
)
def test_example_beyond_the_limit_loses_its_reference_elsewhere_and_its_input_here(prompt, inputs, reference, lost, here):
    assert cut_off(prompt, inputs, reference, limit=512) == (lost, here)


@pytest.fixture
def tokens(tmp_path):
    import pyarrow as pa

    path = tmp_path / "results/tokens/m/qa/gold.parquet"
    path.parent.mkdir(parents=True)

    def row(name, split, prompt, reference, inputs):
        return {"id": name, "split": split, "prompt_ids": [1] * prompt, "answer_ids": [2] * reference, "input_tokens": inputs}

    rows = [row("a", "train", 6, 2, 4), row("b", "train", 6, 4, 4), row("b", "train", 3, 9, 1), row("c", "test", 6, 3, 4)]
    write_tokens(path, pa.Table.from_pylist(rows, schema=schema()))
    return path


def test_every_reference_is_listed_for_every_limit_of_its_model(tokens):
    rows = list_cut_offs([tokens], {"m": [8, 100], "other": [1]})
    assert len(rows) == 8
    at_8 = rows[rows["limit"] == 8]
    listed = list(zip(at_8["id"], at_8["part"], at_8["lost"], at_8["here"], strict=True))
    assert listed == [("a", 0, 0, "whole"), ("b", 0, 2, "input cut"), ("b", 1, 4, "dropped"), ("c", 0, 1, "input cut")]
    assert set(rows[rows["limit"] == 100]["here"]) == {"whole"}


def test_summary_says_how_much_all_references_of_a_split_lose(tokens):
    summary = sum_up(list_cut_offs([tokens], {"m": [8]}))
    [train, test] = summary.to_dict("records")
    assert (train["references"], train["cut"], train["lost"], train["most_lost"]) == (3, 2, 6, 4)
    assert train["lost_share"] == pytest.approx(6 / 15)
    assert (train["input_cut"], train["dropped"], test["cut"], test["whole_lost"]) == (1, 1, 1, 0)
    assert told(summary)[0] == (
        "m, qa/gold, train: at 8 tokens, simply cut, 2 of 3 references lose something (40.0% of their tokens, at most 4 of one; "
        "0 lose all). Here none does: 1 inputs are cut, 1 examples dropped."
    )
