"""Jobs that fail on Slurm hold up no others."""

import json

import yaml

from projects import external_experiment


def experiment():
    predictions = {name: {"match": "prompt", "files": [{"path": f"data/{name}.csv"}]} for name in ("good", "broken")}
    return external_experiment({"exact_match": {"type": "exact_match"}}, predictions)


def test_what_cannot_be_scored_does_not_keep_others_from_their_scores(new_workflow, cluster, tmp_path):
    project = new_workflow(tmp_path)
    data = project.folder / "data"
    (data / "test.jsonl").write_text("".join(json.dumps({"word": word}) + "\n" for word in ("apple", "river")))
    (data / "good.csv").write_text("prompt,prediction\napple,APPLE\nriver,RIVER\n")
    (data / "broken.csv").write_text("prompt,prediction\nnobody asked this,NO\n")
    (project.folder / "config/config.yaml").write_text(yaml.safe_dump(experiment()))
    project.arguments, project.environment = cluster.arguments, cluster.environment
    found = project.snakemake("scores", "--retries", "0", check=False)
    assert found.returncode != 0
    assert not project.files("predictions/**/broken.jsonl")
    assert [file.parent.name for file in project.files("scores/**/exact_match.jsonl")] == ["good"], found.stderr
