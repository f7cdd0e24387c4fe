"""Models behind a server, in the whole workflow."""

import json

from servers import KEY


def test_workflow_asks_served_and_hosted_models_and_tells_nobody_the_key(gate, smollm2, new_project):
    def serve(config):
        served = {"engine": {"type": "openai", "model": str(smollm2)}, "source": {"path": str(smollm2)}, "dtype": "float32"}
        hosted = {"engine": {"type": "openai", "model": str(smollm2), "api": "chat"}}
        config["models"] |= {"served": served, "hosted": hosted}
        config["grid"] = [{"base_models": ["served", "hosted"], "tasks": ["shout"], "sample_types": ["gold"]}]

    new_project.edit_config(serve)
    new_project.snakemake()
    predictions = {
        name: [json.loads(line) for line in (new_project.folder / f"results/predictions/shout/gold/{name}/base.jsonl").open()]
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

    new_project.edit_config(hurry)
    assert new_project.planned() == {}
