"""A run in which jobs of every stage fail: what the screen shows of it, and what is done all the same."""

import json
import re
import shutil

import pytest

SCORERS = '''
def loud(predictions, references):
    """Of the wrong kind."""
    raise KeyError("volume")


def few(predictions, references):
    """Too few."""
    return [1.0]
'''


def break_everything(project):
    """Add to the tiny experiment, which stays as it is, one fault for each stage that can have one."""
    data = project.folder / "data"
    good = (data / "validation.jsonl").read_text()
    (data / "torn.jsonl").write_text(good + '{"word": "x\n')
    (data / "other.jsonl").write_text(good + '{"wort": "x"}\n')
    (data / "noise.jsonl").write_bytes(bytes(range(256)))
    (data / "answers.jsonl").write_text('{"word": "apple river", "answer": "A"}\n')
    (data / "scorers.py").write_text(SCORERS)
    (data / "lame.jinja").write_text("{{ messages[0].content.upper(1) }}")
    (data / "ratings.csv").write_text("0,no such query,no such answer,1\n1,no,no\n")

    def change(config):
        tiny, task, block = config["models"]["tiny"], config["tasks"]["echo"], config["grid"][0]
        for name in ("damaged", "garbled"):
            folder = data / name
            shutil.copytree(tiny["source"]["path"], folder)
            config["models"][name] = tiny | {"source": {"path": str(folder)}}
        weights = data / "damaged/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        (data / "garbled/config.json").write_text("{")
        config["models"]["lame"] = tiny | {"chat_template": "data/lame.jinja"}
        files = config["sources"]["words"]["splits"]
        for name in ("torn", "other", "noise"):
            config["sources"][name] = {"splits": files | {"validation": {"path": f"data/{name}.jsonl"}}}
            config["tasks"][name] = task | {"source": name}
        config["configs"]["hot"] = {"learning_rate": 1e30, "max_grad_norm": None, "epochs": 4}
        config["configs"]["short"] = {"max_length": 8, "epochs": 1}
        config["scorers"]["loud"] = {"type": "custom", "function": "data/scorers.py:loud"}
        config["scorers"]["few"] = {"type": "custom", "function": "data/scorers.py:few"}
        config["scorers"]["rated"] = {"type": "ratings", "file": "data/ratings.csv", "criteria": ["good"]}
        config["tasks"]["scored"] = task | {"scorers": ["exact_match", "loud", "few", "rated"], "instruction": "Once more."}
        answers = {"path": "data/answers.jsonl", "task": "shout", "sample_type": "gold"}
        config["external_predictions"] = {
            "theirs": {"match": "prompt", "prompt": "{{ word }}", "prediction": "{{ answer }}", "files": [answers]}
        }
        few = {"nb_samples": [4]}
        config["grid"] = [
            block | few | {"tasks": ["shout"]},
            block | few | {"tasks": ["shout"], "base_models": ["damaged", "garbled", "lame"]},
            block | few | {"tasks": ["torn", "other", "noise"]},
            block | few | {"tasks": ["shout"], "configs": ["hot", "short"]},
            {"base_models": ["tiny"], "tasks": ["scored"], "sample_types": ["gold"]},
        ]

    project.edit_config(change)


def test_each_failed_job_says_one_sentence_once_and_the_others_finish(new_project):
    break_everything(new_project)
    result = new_project.snakemake(check=False)
    print(result.stdout, result.stderr)
    assert 0
