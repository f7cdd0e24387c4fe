from loragrid.analysis.settings import AnalyseSettings, ReportSettings
from loragrid.grid.jobs import settings


def test_analysis_is_told_the_same_once_it_is_read(grid, make_grid):
    rated = grid.config.model_dump(mode="json", exclude_unset=True)
    judge = {"type": "judge", "rubric": "both_0_10", "model": "j", "price": {"million_new_tokens": 1}}
    rated["scorers"] |= {"judged": judge, "rated": {"type": "human", "evaluation": "people", "sheets": ["ann.csv"]}}
    scorers = [*rated["tasks"]["t"]["scorers"], "judged", "rated"]
    rated["tasks"]["t"] |= {"scorers": scorers, "metadata": {"topic": "{{ topic }}"}, "group_by": ["topic"]}
    rated["models"]["m"]["price"] = {"hour": 2.5}
    for told_grid in (grid, make_grid(**rated)):
        params = {"version": 4, "settings": settings.analyse(told_grid).model_dump()}
        assert repr(AnalyseSettings.model_validate(params).model_dump()) == repr(params)


def test_report_is_told_the_same_once_it_is_read(grid):
    told = {"report": settings.report(grid).model_dump(), "settings": settings.analyse(grid).model_dump()}
    params = {"version": 2, **told, "tiers": ["scores"]}
    assert repr(ReportSettings.model_validate(params).model_dump()) == repr(params)


def test_the_main_metric_of_a_task_is_told_to_the_analysis_alone(grid, make_grid):
    raw = grid.config.model_dump(mode="json", exclude_unset=True)
    other = grid.config.metrics_of_task(grid.config.tasks["t"])[-1]
    raw["tasks"]["t"]["metric"] = other
    told = make_grid(**raw)
    assert settings.analyse(told).main.of("t") == other != settings.analyse(grid).main.of("t")
    one = {
        "task": "t",
        "sample_type": next(iter(grid.config.tasks["t"].sample_types)),
        "base_model": "m",
        "run": "base",
        "scorer": grid.config.tasks["t"].scorers[0],
    }
    one |= {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
    for rule in (settings.prepare_dataset, settings.score):
        assert rule(told, one, 1) == rule(grid, one, 1)
