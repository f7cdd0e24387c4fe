from loragrid.analysis.settings import AnalyseSettings, CardSettings, ReportSettings
from loragrid.grid.jobs import settings
from loragrid.grid.jobs.wanted import usable_jobs


def test_analysis_is_told_the_same_once_it_is_read(grid, make_grid):
    rated = grid.config.model_dump(mode="json", exclude_unset=True)
    judge = {"type": "judge", "rubric": "both_0_10", "model": "j", "price": {"million_new_tokens": 1}}
    rated["scorers"] |= {"judged": judge, "rated": {"type": "human", "evaluation": "people", "sheets": ["ann.csv"]}}
    scorers = [*rated["tasks"]["t"]["scorers"], "judged", "rated"]
    rated["tasks"]["t"] |= {"scorers": scorers, "metadata": {"topic": "{{ topic }}"}, "group_by": ["topic"]}
    rated["models"]["m"]["price"] = {"hour": 2.5}
    for told_grid in (grid, make_grid(**rated)):
        params = {"version": 4, "settings": dict(settings.analyse(told_grid))}
        assert repr(AnalyseSettings.model_validate(params).model_dump()) == repr(params)


def test_report_is_told_the_same_once_it_is_read(grid):
    params = {"version": 2} | dict(settings.report(grid)) | {"tiers": ["scores"]}
    assert repr(ReportSettings.model_validate(params).model_dump()) == repr(params)


def test_model_card_is_told_the_same_once_it_is_read(grid):
    for job in usable_jobs(grid)["describe_model"]:
        of_scorers = settings.scorer_kinds(grid, job)
        params = {"version": 2, "source": settings.source_of_base_model(grid, job), "kinds": of_scorers}
        assert repr(CardSettings.model_validate(params).model_dump()) == repr(params)
