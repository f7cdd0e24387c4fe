"""The grid in the page: what is missing, why, and the last words of the jobs that failed; and where numbers come from."""

import re

import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.labels import label_runs
from loragrid.analysis.page.origins import checks_table, files_table, repeated
from loragrid.analysis.page.rendering import section
from loragrid.analysis.page.state import LAST_LINES, missing_table, reasons
from report_pages import payload_of
from unit.analysis.grids import base, run


def test_state_counts_what_is_there_and_gives_the_reason_for_what_is_not(tmp_path):
    (tmp_path / "there").write_text("")
    (tmp_path / "failed.log").write_text("starting\nerror: data.jsonl, line 3: not valid JSON.\n")
    targets = [(str(tmp_path / name), str(tmp_path / f"{name}.log")) for name in ("there", "failed", "waiting")]
    state = grid_state({"datasets": targets})
    assert (state[0]["expected"], state[0]["present"]) == (3, 1)
    shown = missing_table(state).rows
    assert shown["file"].tolist() == [str(tmp_path / name) for name in ("failed", "waiting")]
    assert shown["reason"].tolist() == ["data.jsonl, line 3: not valid JSON.", "not started"]


def test_last_lines_of_the_log_stand_beside_the_reason_as_text(tmp_path):
    lines = [f"line {number}" for number in range(100)] + ["<script>alert(1)</script>", "error: out of memory"]
    (tmp_path / "a.log").write_text("\n".join(lines) + "\n")
    state = grid_state({"adapters": [("a", str(tmp_path / "a.log")), ("b", str(tmp_path / "b.log"))]})
    failed, waiting = reasons(state)[::-1] if reasons(state)[0]["reason"] == "not started" else reasons(state)
    assert failed["last_lines"].splitlines() == lines[-LAST_LINES:]
    assert (waiting["log"], waiting["last_lines"]) == (None, "")
    html = section("grid", {"state": state, "reasons": reasons(state)})
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>" not in html


def test_numbers_can_be_followed_to_their_files_and_made_again():
    models = pd.DataFrame([base(), run(), base() | {"base_model": "baseline", "run": "copy"}]).astype({"nb_samples": "Int64"})
    labels = dict(zip(models[MODEL].itertuples(index=False, name=None), label_runs(models), strict=True))
    rows = files_table(models, labels).rows
    name = run()["run"]
    assert rows["predictions"].tolist() == [
        "results/predictions/t/s/m/base.jsonl",
        f"results/predictions/t/s/m/{name}.jsonl",
        "results/predictions/t/s/baseline/copy.jsonl",
    ]
    assert rows["training"].tolist()[1] == f"results/adapters/t/s/m/{name}/adapter_model.safetensors"
    assert rows["training"].isna().tolist() == [True, False, True]
    # A storage puts the folder of its copies in front.
    again = repeated(["results/scores/t/s/m/base/r.jsonl", f"/copies/results/scores/t/s/m/{name}/r.jsonl"], labels)
    assert again["scores"] == f"results/scores/t/s/m/{name}/r.jsonl"
    assert again["predictions"] == f"results/predictions/t/s/m/{name}.jsonl"
    assert repeated([], labels) is None


def test_checks_are_told_by_model():
    table = checks_table([{"base_model": "m", "run": "base", "checks": {"repeats": True, "adapter": None, "ends": False}}])
    [row] = table.rows.to_dict("records")
    assert (row["repeats"], row["adapter"], row["ends"]) == ("yes", "does not apply", "no")


def test_page_of_an_unfinished_grid_says_what_is_missing(grid, tmp_path, without_code):
    grid.write_page(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "This grid is not complete." in html
    assert re.search(r"<summary>adapters, 1 file: CUDA out of memory &lt;script&gt;</summary>", html)
    assert payload_of(html)["tables"]["grid"]["rows"]["file"] == ["gone"]
