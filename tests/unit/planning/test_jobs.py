import pytest

from loragrid.errors import UserError
from loragrid.planning.jobs import Job, planned_jobs, read_summary
from loragrid.planning.settings import PlanSettings


def test_each_job_counts_once_whatever_it_makes():
    patterns = {"train": r"a/(?P<run>[^/]+)/model$", "score": r"s/(?P<run>[a-z]+)(?P<variant>(?:~[a-z]+)?)$"}
    lines = [
        "output_file\tdate\trule\tlog-file(s)\tstatus\tplan",
        "a/x/model\t-\ttrain\t-\tmissing\tupdate pending",
        "a/x/manifest\t-\ttrain\t-\tmissing\tupdate pending",
        "a/y/model\tMon\ttrain\t-\tok\tno update",
        "a/z/model\tMon\ttrain\t-\tparams changed\tupdate pending",
        "s/x~b\tMon\tscore\t-\tok\tno update",
        "report.html\t-\treport\t-\tmissing\tupdate pending",
    ]
    assert read_summary(lines, patterns) == [
        Job("train", {"run": "x"}, True),
        Job("train", {"run": "y"}, False),
        Job("train", {"run": "z"}, True),
        Job("score", {"run": "x", "variant": "~b"}, False),
    ]


def test_what_snakemake_says_where_it_cannot_plan_is_passed_on(tmp_path):
    (tmp_path / "Snakefile").write_text("rule all:\n    input: 'missing'\n")
    told = {"version": 1, "snakefile": str(tmp_path / "Snakefile"), "rerun_triggers": ["mtime"], "rules": {}}
    settings = PlanSettings.model_validate(told | dict.fromkeys(("jobs", "cores", "gpus")))
    with pytest.raises(UserError, match=r"Snakemake cannot plan the grid:[\s\S]*missing"):
        planned_jobs({}, settings)
