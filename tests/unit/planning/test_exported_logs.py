import pytest

from loragrid.analysis.inspect_log.archive import write_archive
from loragrid.errors import DamagedError
from loragrid.planning.verification.results import exported_log

SAMPLE = {"id": "a", "epoch": 1, "messages": [], "text": "x" * 100}


@pytest.fixture
def log(tmp_path):
    write_archive(tmp_path / "x.eval", {"version": 2}, [SAMPLE])
    exported_log(None, {}, tmp_path / "x.eval")
    return tmp_path / "x.eval"


def test_exported_log_that_lacks_its_end_is_damaged(log):
    log.write_bytes(log.read_bytes()[:-40])
    with pytest.raises(DamagedError, match="not an archive"):
        exported_log(None, {}, log)


@pytest.mark.parametrize("place", range(30, 100, 5))
def test_exported_log_with_another_byte_is_damaged(log, place):
    content = bytearray(log.read_bytes())
    content[place] ^= 1
    log.write_bytes(content)
    with pytest.raises(DamagedError, match="as it was written"):
        exported_log(None, {}, log)
