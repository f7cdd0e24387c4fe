import pytest

from loragrid.analysis.page import write
from loragrid.analysis.page.modules import PageSource
from report_pages import finished_grid


@pytest.fixture(scope="session")
def grid(tmp_path_factory):
    """A finished made-up grid."""
    return finished_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture
def without_code(monkeypatch):
    """Pages are written without their styles and scripts, which take seconds to put together."""
    monkeypatch.setattr(write, "page_source", lambda: PageSource("", []))
