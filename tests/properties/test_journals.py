"""Journals and the progress of trainings: what was kept comes back, whatever happens to the file."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.runtime.journal import append_to_journal, damaged_lines, read_journal
from loragrid.training.checkpoints import parse_progress

FEW = settings(max_examples=60, deadline=None, derandomize=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ENTRIES = st.lists(
    st.dictionaries(TEXT.filter(lambda key: key != "journal"), st.integers() | TEXT | st.none(), max_size=3), max_size=4
)


def kept(folder: str, entries) -> tuple[Path, dict]:
    """A journal with these entries, and what it should give."""
    path, whole = Path(folder, "j.jsonl"), {}
    for one in entries:
        append_to_journal(path, one)
        whole |= one
    return path, whole


@FEW
@given(ENTRIES)
def test_what_is_kept_comes_back(entries):
    with TemporaryDirectory() as folder:
        path, whole = kept(folder, entries)
        assert read_journal(path) == whole


@FEW
@given(ENTRIES.filter(bool), st.data())
def test_journal_that_was_cut_keeps_its_first_lines_and_takes_more(entries, data):
    with TemporaryDirectory() as folder:
        path, _ = kept(folder, entries)
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        lines = path.read_bytes().count(b"\n")
        expected = {key: value for one in entries[:lines] for key, value in one.items()}
        assert read_journal(path) == expected
        append_to_journal(path, {"more": 1})
        assert read_journal(path) == expected | {"more": 1}
        assert [one.name for one in Path(folder).iterdir()] == ["j.jsonl"]


@FEW
@given(ENTRIES, ENTRIES, st.binary(max_size=60))
def test_garbage_between_lines_costs_no_whole_line(before, behind, garbage):
    with TemporaryDirectory() as folder:
        path, whole = kept(folder, before)
        with open(path, "ab") as file:
            file.write(b'{"' + garbage + b"\n")
        for one in behind:
            append_to_journal(path, one)
            whole |= one
        found = read_journal(path)
        assert whole.items() <= found.items() or any(key in found for key in whole)
        assert set(whole) <= set(found)
        assert damaged_lines(path)[0] == 0
        assert read_journal(path) == found


@FEW
@given(st.binary(max_size=200))
def test_any_bytes_give_entries(content):
    with TemporaryDirectory() as folder:
        path = Path(folder, "j.jsonl")
        path.write_bytes(content)
        found = read_journal(path)
        assert isinstance(found, dict)
        append_to_journal(path, {"more": 1})
        assert read_journal(path) == found | {"more": 1}


@FEW
@given(
    st.text(max_size=30)
    | st.dictionaries(
        st.sampled_from(["course", "best_loss", "without_gain"]), st.integers() | st.lists(st.lists(st.integers()))
    ).map(json.dumps)
)
def test_any_text_is_a_progress_or_an_error(text):
    try:
        assert parse_progress(text)["course"]
    except ValueError:
        return
