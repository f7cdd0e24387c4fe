"""Records and manifests: what is written comes back, and any other bytes give a record or a sentence about the file."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.errors import DamagedError
from loragrid.records import Example, Score, read_records, write_records
from loragrid.runtime.manifests import read_json, stated_about

FEW = settings(max_examples=60, deadline=None, derandomize=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=6,
)
EXAMPLES = st.builds(
    Example,
    id=TEXT,
    task=TEXT,
    sample_type=TEXT,
    instruction=TEXT,
    input=TEXT,
    output=TEXT | st.lists(TEXT, max_size=3),
    metadata=st.dictionaries(TEXT, TEXT, max_size=2),
    prompts=st.lists(TEXT, max_size=2),
    answers=st.sampled_from(["one", "each", "joined"]),
)
SCORES = st.builds(
    Score,
    id=TEXT,
    sample=st.integers(0, 3),
    scorer=TEXT,
    metric=TEXT,
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    status=TEXT,
    detail=st.none() | TEXT,
    parts=st.dictionaries(TEXT, st.floats(0, 1), max_size=2),
    usage=st.dictionaries(TEXT, st.integers(0, 9), max_size=2),
)


def is_sentence(error: DamagedError, path: Path) -> None:
    """It names the file, and says how to mend it."""
    assert str(error).startswith(str(path))
    assert str(error).endswith(f". Delete {path}; the next snakemake makes it again.")


def read(content: bytes, kind=Example):
    """The records in a file with this content; the sentence about it, if there is one."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.jsonl")
        path.write_bytes(content)
        try:
            return read_records(path, kind)
        except DamagedError as error:
            is_sentence(error, path)
            return error


@FEW
@given(
    st.lists(EXAMPLES, max_size=4, unique_by=lambda one: one.key) | st.lists(SCORES, max_size=4, unique_by=lambda one: one.key)
)
def test_what_is_written_comes_back(records):
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.jsonl")
        write_records(path, records)
        assert read_records(path, type(records[0]) if records else Example) == records


@FEW
@given(st.lists(EXAMPLES, min_size=1, max_size=3, unique_by=lambda one: one.key), st.data())
def test_file_that_was_cut_gives_its_first_records_or_a_sentence(records, data):
    content = "".join(json.dumps(one.model_dump(mode="json"), ensure_ascii=False) + "\n" for one in records).encode()
    end = data.draw(st.integers(0, len(content)))
    found = read(content[:end])
    assert isinstance(found, DamagedError) or found == records[: len(found)]


@FEW
@given(st.binary(max_size=200) | st.lists(JSON, max_size=3).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()))
def test_any_bytes_give_records_or_a_sentence(content):
    for kind in (Example, Score):
        found = read(content, kind)
        assert isinstance(found, DamagedError) or all(isinstance(one, kind) for one in found)


@FEW
@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_any_manifest_gives_an_object_or_a_sentence(content):
    with TemporaryDirectory() as folder:
        path = Path(folder, "manifest.json")
        path.write_bytes(content)
        try:
            assert isinstance(read_json(path), dict)
        except DamagedError as error:
            is_sentence(error, path)


@FEW
@given(st.fixed_dictionaries({}, optional={"examples": JSON, "sha256": JSON, "decoding": JSON}), st.sampled_from(["x.", ""]))
def test_any_manifest_says_a_number_or_nothing_or_is_named(told, of_predictions):
    with TemporaryDirectory() as folder:
        manifest = Path(folder, f"{of_predictions}manifest.json")
        manifest.write_text(json.dumps(told))
        try:
            stated = stated_about(Path(folder, "x.jsonl"))
        except DamagedError as error:
            is_sentence(error, manifest)
        else:
            assert stated.rows is None or isinstance(stated.rows, int)
            assert stated.sha256 is None or isinstance(stated.sha256, str)
