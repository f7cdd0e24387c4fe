"""Models behind a server, in the whole workflow."""

import json

from report_pages import payload_of
from servers import KEY


def test_workflow_asks_served_models_and_judges_and_tells_nobody_the_key(gate, smollm2, new_project):
    def serve(config):
        served = {"engine": {"type": "openai", "model": str(smollm2)}, "source": {"path": str(smollm2)}, "dtype": "float32"}
        hosted = {"engine": {"type": "openai", "model": str(smollm2), "api": "chat"}}
        config["models"] |= {"served": served, "hosted": hosted}
        config["grid"] = [{"base_models": ["served", "hosted"], "tasks": ["shout"], "sample_types": ["gold"]}]
        judge = {
            "type": "judge",
            "model": str(smollm2),
            "max_new_tokens": 24,
            "price": {"million_new_tokens": 1.0},
            "budget": 1.0,
        }
        config["scorers"] |= {
            "strict": judge | {"rubric": "against_reference_0_100", "baselines": False},
            "duel": judge | {"rubric": "pairwise", "against": "base"},
        }
        config["tasks"]["shout"]["scorers"] += ["strict", "duel"]
        config["tasks"]["shout"]["baselines"] = ["copy"]
        config["external_predictions"] = {"theirs": theirs}

    answers = [{"word": row["word"], "answer": "LOUD"} for row in read_lines(new_project.folder / "data/test.jsonl")]
    (new_project.folder / "data/theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    theirs = {"base_model": "served", "match": "prompt", "prompt": "{{ word }}", "prediction": "{{ answer }}"}
    theirs |= {"files": [{"path": "data/theirs.jsonl", "task": "shout", "sample_type": "gold"}]}
    new_project.edit_config(serve)
    new_project.snakemake()
    predictions = {
        name: read_lines(new_project.folder / f"results/predictions/shout/gold/{name}/base.jsonl")
        for name in ("served", "hosted")
    }
    assert [one["prediction"] for one in predictions["served"]] == [one["prediction"] for one in predictions["hosted"]]
    assert predictions["hosted"][0]["prompt"].startswith("[user]\nSay it loudly.\n\n")
    checks = json.loads((new_project.folder / "results/checks/served/base.json").read_text())["checks"]
    assert checks["same text as hf"]["passed"] is True
    assert "same text as hf" not in json.loads((new_project.folder / "results/checks/hosted/base.json").read_text())["checks"]
    for file in (*new_project.files("**/*"), *new_project.folder.glob(".snakemake/**/*")):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file

    def hurry(config):
        config["models"]["served"]["engine"] |= {"concurrency": 1, "timeout_s": 9, "retries": 1}
        config["scorers"]["strict"] |= {"concurrency": 1, "budget": 2.0, "price": {"million_new_tokens": 2.0}}

    new_project.edit_config(hurry)
    assert new_project.planned() == {"analyse": 1, "report": 1}

    # Only their answers are compared with the base model's; baselines are not judged, as the judge says.
    assert len(new_project.files("scores/*/*/*/*/rouge.jsonl")) == 4
    assert [path.parent.name for path in new_project.files("scores/*/*/*/*/duel.jsonl")] == ["theirs"]
    judged = {path: path.read_bytes() for path in new_project.files("scores/*/*/*/*/strict.jsonl")}
    assert len(judged) == 3
    rows = [row for path in judged for row in read_lines(path)]
    assert len(rows) == 3 * 4
    assert all(row["detail"] for row in rows)
    asked = len(gate.requests)
    for path in (*judged, *new_project.files("scores/*/*/*/*/duel.jsonl")):
        path.unlink()
    new_project.snakemake("scores")
    assert len(gate.requests) == asked
    assert {path: path.read_bytes() for path in judged} == judged
    new_project.snakemake()
    assert "scoring_costs" in payload_of((new_project.folder / "results/report.html").read_text())["tables"]


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
