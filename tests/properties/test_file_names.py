"""Names of any length: what planning allows, a file system holds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.config.load import parse_config
from loragrid.grid.file_names import WRITTEN_AS_FOLDERS, long_names, longest_name
from loragrid.grid.jobs.wanted import usable_jobs
from loragrid.grid.runs import Grid
from loragrid.layout import RULES
from loragrid.runtime.files import partial_name

LENGTHS = st.integers(1, 120)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(*[LENGTHS] * 6)
def test_names_that_planning_allows_can_be_written(task, sample_type, model, mix, config, prompting):
    task, sample_type, model, mix, config, prompting = (
        letter * length for letter, length in zip("tsmxcp", (task, sample_type, model, mix, config, prompting), strict=True)
    )
    block = {"base_models": [model], "tasks": [task], "sample_types": [sample_type], "mixes": [mix], "configs": [config]}
    template = {"instruction": "Say it.", "input": "{{ a }}", "sample_types": {sample_type: {"output": "{{ a }}"}}}
    raw = {
        "models": {model: {"source": {"path": "m"}}},
        "sources": {"d": {"splits": {"train": {"path": "a"}, "test": {"path": "b"}}}},
        "tasks": {task: template | {"source": "d", "scorers": ["em"]}},
        "mixes": {mix: {"recipe": "target_only"}},
        "configs": {config: {"rank": 1}},
        "scorers": {"em": {"type": "exact_match"}},
        "promptings": {prompting: {"type": "few_shot", "k": 1}},
        "grid": [block | {"nb_samples": [4], "promptings": ["zero_shot", prompting]}],
    }
    grid = Grid(parse_config(raw))
    written = set()
    for rule, jobs in usable_jobs(grid).items():
        for job in jobs:
            for pattern in (*RULES[rule].outputs.values(), RULES[rule].benchmark):
                *folders, name = pattern.format_map(job).split("/")
                written |= {*folders, name, *([partial_name(folders[-1])] if rule in WRITTEN_AS_FOLDERS else [])}
    assert bool(list(long_names(grid))) == (max(map(len, written)) > longest_name())
