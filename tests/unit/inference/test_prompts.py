"""What a prediction's manifest says of the examples that its prompts show."""

import json

import pytest

from loragrid.data.prompting import FewShot, ZeroShot
from loragrid.inference.prompts import leaking_demonstrations
from loragrid.records import write_records


@pytest.fixture
def files(tmp_path, make_example):
    """A test set, training examples of which two are in it, and demonstrations that show one of these."""
    paths = [str(tmp_path / name) for name in ("test", "train", "demonstrations")]
    write_records(
        paths[0], [make_example("t1", input="asked"), make_example("t2", input="asked too", output="it has five words here")]
    )
    held = [make_example("1", input="Asked", instruction="Otherwise."), make_example("2", input="asked too", output="x")]
    write_records(paths[1], [*held, make_example("3", output="it has five words here"), make_example("4")])
    (tmp_path / "demonstrations").write_text(json.dumps({"t1": ["4", "1"], "t2": ["3", "4"]}))
    return paths


def test_training_examples_that_the_test_set_holds_are_listed_whether_a_prompt_shows_them_or_not(files):
    prompting = FewShot(type="few_shot", k=2)
    assert leaking_demonstrations(prompting, *files) == {"left_out_because_tested": ["2"], "shown_although_tested": ["1"]}
    by_output = FewShot(type="few_shot", k=2, leaks_by_output=True)
    assert leaking_demonstrations(by_output, *files)["shown_although_tested"] == ["1", "3"]


def test_manifest_has_no_entry_where_there_is_nothing_to_say(files, make_example):
    assert leaking_demonstrations(ZeroShot(type="zero_shot"), files[0], None, None) == {}
    write_records(files[0], [make_example("t1", input="new")])
    assert leaking_demonstrations(FewShot(type="few_shot", k=2), *files) == {}
