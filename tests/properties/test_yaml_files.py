"""Whatever stands in a file, it is read as it was meant or refused in a sentence that names the file."""

import datetime
import math

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.errors import UserError
from loragrid.runtime.yaml_files import compose_text, load_yaml

few = settings(max_examples=100, deadline=None, derandomize=True)


def refusal(call):
    """What a call is refused with; None if it is not."""
    try:
        call()
    except UserError as error:
        return str(error)
    return None


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.dates(datetime.date(1000, 1, 1))
    | st.text(max_size=30)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
PIECES = st.sampled_from(
    ["a", "b: ", "- ", ": ", "\n", "  ", "\t", "'", '"', "{{ x }}", "[", "]", "{", "}", "#", " #1", "&a ", "*a", "!t ", "|", ">", "%", "@", "---\n", ",", "\\d", "é", "\u00a0", "“", "<<: ", "? ", "0x1", "1:30"]
)  # fmt: skip


@few
@given(st.lists(PIECES, max_size=25).map("".join))
def test_text_is_read_or_refused_in_one_line_with_its_place(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "pieces.yaml"
    path.write_text(text)
    for line in (refusal(lambda: load_yaml(path)) or "").splitlines():
        assert line.startswith(f"{path}, line ")
        assert line.endswith((".", "?"))


@few
@given(st.binary(max_size=60))
def test_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content)
    assert (refusal(lambda: load_yaml(path)) or str(path)).startswith(str(path))


@settings(few, max_examples=30)
@given(st.dictionaries(NAMES.filter(lambda name: yaml.safe_load(name) == name), VALUES, max_size=4))
def test_what_a_program_writes_is_read_as_it_is(tmp_path_factory, value):
    def readable(one):
        if isinstance(one, dict):
            return all(isinstance(yaml.safe_load(key), str) and readable(inner) for key, inner in one.items())
        return all(map(readable, one)) if isinstance(one, list) else not (isinstance(one, float) and math.isinf(one))

    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(yaml.safe_dump(value))
    if readable(value):
        assert load_yaml(path) == value


@few
@given(st.integers(1, 300), st.sampled_from(["[", "{a: ", "- "]))
def test_depth_has_a_limit_and_no_other_end(depth, opening):
    closing = {"[": "]", "{a: ": "}", "- ": ""}[opening]
    refused = refusal(lambda: compose_text("c", opening * depth + "x" + closing * depth))
    assert ("more than 100 lists and mappings within each other" in (refused or "")) == (depth > 100)
