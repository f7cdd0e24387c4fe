import pandas as pd

from loragrid.analysis.reading import read_predictions, read_scores
from loragrid.analysis.summaries import summarise
from loragrid.analysis.table_files import write_table
from unit.analysis.score_tables import ROUGE


def test_tables_survive_both_formats(tmp_path, predictions, scores):
    summary = summarise(read_scores(scores), read_predictions(predictions), ROUGE)
    write_table(summary, tmp_path / "a.csv", tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), summary)
    assert pd.read_csv(tmp_path / "a.csv")["mean"].tolist() == summary["mean"].tolist()


def test_no_text_of_a_table_is_a_formula_in_its_csv_file(tmp_path):
    table = pd.DataFrame({"group": ["=1+1", "plain", None], "mean": [-0.5, 1.0, 2.0], "n": [-1, 2, 3]})
    write_table(table, tmp_path / "a.csv", tmp_path / "a.parquet")
    assert (tmp_path / "a.csv").read_text() == "group,mean,n\n'=1+1,-0.5,-1\nplain,1.0,2\n,2.0,3\n"
    assert pd.read_parquet(tmp_path / "a.parquet")["group"][0] == "=1+1"
