"""One stage for the grid in the current folder: `analyse` makes all tables and figures, `report` writes the page from them."""

import sys
from pathlib import Path

from loragrid.layout import ANALYSE, DESCRIBE_DATA, REPORT

UNIT = {f"rouge/{metric}": (0.0, 1.0) for metric in ("rouge1", "rouge2", "rougeL", "rougeLsum")}
KINDS = {name: {"type": name, "lower_is_better": [], "worst": {}} for name in ("rouge", "sbert")}
TOLD = {"metric": "rouge/rougeL", "prices": {}, "judge_prices": {}, "kinds": KINDS, "group_by": {}, "levels": {}, "bounds": UNIT}


def found(pattern: str) -> list[str]:
    """The files of a pattern below the results."""
    return sorted(map(str, Path("results").glob(pattern)))


def main(stage: str, answers_in: str) -> None:
    """Do the work of a stage."""
    from loragrid.analysis.settings import AnalysisSettings

    settings = AnalysisSettings.model_validate(TOLD)
    scores, tests = found("scores/**/*.jsonl"), found("datasets/*/*/test.jsonl")
    predictions, manifests = found("predictions/**/*.jsonl"), found("adapters/**/manifest.json")
    if stage == "analyse":
        from loragrid.analysis.tables_and_figures import analyse, describe_data

        analyse(predictions, scores, found("adapters/**/loss.csv"), manifests, tests, settings, ANALYSE.outputs)
        describe_data(tests, [], [], [], [], [], DESCRIBE_DATA.outputs)
        return
    from loragrid.analysis.grid_state import grid_state
    from loragrid.analysis.page.write import GridFiles, write_report
    from loragrid.analysis.settings import ReportContents

    contents = ReportContents.model_validate({"title": "A large grid", "examples": 3, "answers_in": answers_in})
    state = grid_state({"predictions": [(path, "") for path in predictions], "scores": [(path, "") for path in scores]})
    files = GridFiles(scores, tests, [], manifests, manifests, [], [], [])
    write_report(REPORT.outputs["report"], contents, settings, state, ANALYSE.outputs | DESCRIBE_DATA.outputs, files)


main(*sys.argv[1:])
