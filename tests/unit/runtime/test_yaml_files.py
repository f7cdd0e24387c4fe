import pytest

from loragrid.errors import UserError
from loragrid.runtime.yaml_files import load_yaml


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: {epochs: 3, rank: 1,\n  epochs: 1}\n", "line 2, column 3: the key 'epochs' stands in line 1 already; expected each key once."),
        ("- {1: a, '1': b}\n", "line 1, column 10: the key '1' stands in line 1 already"),
        ("a: 0512\n", "line 1, column 4: YAML reads 0512 as the octal number 330; write 512, or put it in quotes if it is text."),
        ("a: 1:30\n", "line 1, column 4: YAML reads 1:30 as 90, a number of base 60"),
        ("a:\n  010: b\n", "line 2, column 3: YAML reads 010 as the octal number 8"),
        ("1.50: b\n", "line 1, column 1: YAML reads the name 1.50 as 1.5; put it in quotes."),
        ("1_0: b\n", "line 1, column 1: YAML reads the name 1_0 as 10; put it in quotes."),
        ("no: b\n", "line 1, column 1: YAML reads the name no as true or false; put it in quotes."),
        ("on: b\n", "line 1, column 1: YAML reads the name on as true or false"),
        ("null: b\n", "line 1, column 1: YAML reads the name null as nothing"),
        ("2024-01-02: b\n", "line 1, column 1: YAML reads the name 2024-01-02 as a date"),
        ("a: 2024-13-02\n", "line 1, column 4: '2024-13-02' is no date"),
        ("a: {{ word }}\n", "line 1, column 5: a key must be text; text that begins with {{ or [ needs quotes."),
        ("a: b\nc: Note: d\n", "line 2, column 8: not valid YAML (mapping values are not allowed in this context); text with ': ' in it needs quotes."),
        ("a:\n\tb: c\n", "line 2, column 1: not valid YAML (found character that cannot start any token); indent with spaces"),
        ("a: [b\nc: d\n", "line 2, column 2: not valid YAML"),
        ("a: *b\n", "line 1, column 4: not valid YAML (found undefined alias); text that begins with * needs quotes."),
        ("a: !foo b\n", "line 1, column 4: not valid YAML (could not determine a constructor for the tag '!foo'); text that begins with ! needs quotes."),
        ("a: b\nc: \x07\n", "line 2: not valid YAML (control characters are not allowed)."),
        ('{\n\t"a": 1,\n\t"a": 2\n}', "line 3, column 2: the key 'a' stands in line 2 already"),
    ],
)  # fmt: skip
def test_slip_is_named_with_file_line_and_column(tmp_path, text, sentence):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}, {sentence}")


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(UserError, match=r"c\.yaml, line 2, column 4: the text is not UTF-8"):
        load_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: '0512'\nb: \"1:30\"\n'no': '1.50'\n", {"a": "0512", "b": "1:30", "no": "1.50"}),
        ("1: a\n1.5: b\n0: c\n", {1: "a", 1.5: "b", 0: "c"}),
        ("a: yes\nb: 1_000\nc: 0x10\nd: 007\ne: 08\nf: 0\ng: 1e-4\nh: -0.5\n", {"a": True, "b": 1000, "c": 16, "d": 7, "e": "08", "f": 0, "g": "1e-4", "h": -0.5}),
        ("a: &x {b: 1}\nc: {<<: *x, d: *x}\n", {"a": {"b": 1}, "c": {"b": 1, "d": {"b": 1}}}),
        ("# nothing\n", None),
    ],
)  # fmt: skip
def test_what_everybody_reads_alike_is_read(tmp_path, text, value):
    (tmp_path / "c.yaml").write_text(text)
    assert load_yaml(tmp_path / "c.yaml") == value
