"""Files of the report, read by `snakemake verify` as what their names say."""

import pytest

from loragrid.analysis.page.embedded import write_part
from loragrid.analysis.page.packed import packed
from loragrid.errors import DamagedError
from loragrid.planning.verification.contents import refuse_unreadable


@pytest.fixture
def answers(tmp_path):
    path = tmp_path / "report_answers/challenge.js"
    path.parent.mkdir()
    write_part(path, "challenge", packed({"texts": ["</script>", "\ud83d", "A long answer. " * 50]}))
    return path


def test_answers_beside_a_report_are_read(answers):
    refuse_unreadable(answers)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text[:-10], "the end of the answers is missing"),
        (lambda text: "", "the end of the answers is missing"),
        (lambda text: text[:60] + text[61].swapcase() + text[61:], "it cannot be read as js"),
        (lambda text: text.replace('");', '==");')[: len(text)] + "x", "the end of the answers is missing"),
    ],
)
def test_damaged_answers_beside_a_report_are_named(answers, change, what):
    answers.write_text(change(answers.read_text()))
    with pytest.raises(DamagedError, match=what):
        refuse_unreadable(answers)
