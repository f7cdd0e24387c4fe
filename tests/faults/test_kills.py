"""Jobs and Snakemake are killed at random moments: nothing is lost, nothing is done twice, and the results are those of an undisturbed run."""

from faults.disturbed import disturb
from projects import make_tiny_project
from same_results import comparable


def test_ten_kills_change_no_result(finished, tiny_model, tmp_path):
    expected = comparable(finished.folder / "results")
    summary = disturb(10, 1, tmp_path, lambda folder: make_tiny_project(folder, tiny_model), expected)
    assert summary.wrong == []
    assert summary.kills >= 10
