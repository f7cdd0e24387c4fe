import pytest

from loragrid.errors import UserError
from loragrid.records import Example, read_records, write_records


def test_records_survive_a_round_trip(tmp_path, make_example):
    examples = [make_example("ü – 漢字\n\u2028"), make_example("b", output="two\nlines")]
    write_records(tmp_path / "x.jsonl", examples)
    assert read_records(tmp_path / "x.jsonl", Example) == examples


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "a"', "not valid JSON"),
        ('{"id": "a"}', "not a valid example (task: field required)"),
        ('[1]', "not a valid example"),
    ],
)  # fmt: skip
def test_malformed_line_is_named_with_file_line_and_reason(tmp_path, make_example, line, reason):
    path = tmp_path / "x.jsonl"
    write_records(path, [make_example("a")])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError) as caught:
        read_records(path, Example)
    assert str(caught.value).startswith(f"{path}, line 2: {reason}")


def test_unknown_field_is_refused(tmp_path, make_example):
    path = tmp_path / "x.jsonl"
    write_records(path, [make_example("a")])
    path.write_text(path.read_text().replace('"id"', '"surplus": 1, "id"'))
    with pytest.raises(UserError, match=r"line 1: not a valid example \(surplus"):
        read_records(path, Example)
