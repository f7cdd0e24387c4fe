"""Where the answers of the report are, which is known before anything is computed."""

import pytest

from loragrid.grid.jobs import report_answers
from loragrid.grid.jobs.report_answers import answers_beside, answers_in
from loragrid.grid.jobs.settings import report
from loragrid.grid.jobs.wanted import usable_jobs


def tasks_of(grid):
    return {evaluation.task for evaluation in (*grid.evaluations, *grid.external, *grid.trivial)}


def test_small_grid_has_its_answers_in_the_page(make_grid):
    grid = make_grid()
    assert (answers_in(grid), answers_beside(grid)) == ("page", [])
    assert report(grid).answers_in == "page"
    assert usable_jobs(grid)["report_answers"] == []


def test_large_grid_has_a_file_for_each_task_beside_the_page(make_grid, monkeypatch):
    grid = make_grid()
    monkeypatch.setattr(report_answers, "MOST_IN_PAGE", len(grid.evaluations) + len(grid.external) + len(grid.trivial) - 1)
    assert answers_in(grid) == "folder"
    assert {job["task"] for job in answers_beside(grid)} == tasks_of(grid)
    assert len(answers_beside(grid)) == len(tasks_of(grid))
    # A sample is small whatever the grid.
    assert answers_in(make_grid(report={"embed": "sample"})) == "page"
    # The files are known, so that they stay while they are asked for, and are listed as prunable when they no longer are.
    for rule in ("report_answers", "partial_report_answers"):
        assert usable_jobs(grid)[rule] == answers_beside(grid)


@pytest.mark.parametrize("embed", ["all", "sample"])
def test_configuration_decides_where_it_says_so(make_grid, embed):
    grid = make_grid(report={"embed": embed, "answers_in": "folder"})
    assert report(grid).answers_in == "folder"
    assert {job["task"] for job in answers_beside(grid)} == tasks_of(grid)


def test_report_without_answers_has_no_files_of_answers(make_grid):
    assert answers_beside(make_grid(report={"embed": "none", "answers_in": "folder"})) == []
