"""Makes all tables and figures of the grid in the current folder: what the rule `analyse` does. Says the seconds of reading and the number of contrasts."""

import time
from pathlib import Path

import pandas as pd

from loragrid.analysis import all_tables, tables_and_figures
from loragrid.analysis.settings import AnalysisSettings
from loragrid.layout import ANALYSE

spent = 0.0


def timed(read):
    """The same function, whose seconds are counted."""

    def reads(*arguments):
        global spent
        started = time.process_time()
        result = read(*arguments)
        spent += time.process_time() - started
        return result

    return reads


for name in ("read_predictions", "read_scores"):
    setattr(all_tables, name, timed(getattr(all_tables, name)))
unit = {f"rouge/{metric}": (0.0, 1.0) for metric in ("rouge1", "rouge2", "rougeL", "rougeLsum")}
kinds = {name: {"type": name, "lower_is_better": [], "worst": {}} for name in ("rouge", "sbert")}
settings = AnalysisSettings.model_validate(
    {"metric": "rouge/rougeL", "prices": {}, "judge_prices": {}, "kinds": kinds, "group_by": {}, "levels": {}, "bounds": unit}
)
found = [
    sorted(Path("results").glob(pattern))
    for pattern in ("predictions/*/*/*/*.jsonl", "scores/**/*.jsonl", "datasets/*/*/test.jsonl")
]
outputs = ANALYSE.below("results")
tables_and_figures.analyse(found[0], found[1], [], [], found[2], settings, outputs)
print(spent, len(pd.read_parquet(outputs["contrasts_parquet"])))
