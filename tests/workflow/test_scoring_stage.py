"""Scorers in the whole workflow: what a new one costs, what is shared, what stands beside the models."""

import json

import pandas as pd
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

from report_pages import payload_of, rows_of

SCORED = {"describe_model": 4, "analyse": 1, "report": 1}


def save_reward_model(folder, tokenizer_folder):
    """A random reward model in the standard layout."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=512, pad_token_id=2, num_labels=1, **shape)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_new_scorer_schedules_its_own_jobs_and_no_others(changeable):
    def add(config):
        config["scorers"]["length"] = {"type": "length"}
        for task in config["tasks"].values():
            task["scorers"].append("length")

    changeable.edit_config(add)
    assert changeable.planned() == {"score": 6, **SCORED}


def test_scorer_that_loads_a_model_loads_it_once_for_the_whole_grid(changeable, encoder, tiny_model, tmp_path):
    save_reward_model(tmp_path / "reward", tiny_model)

    def add(config):
        config["encoders"] = {"minilm": {"source": {"path": str(encoder)}}}
        config["reward_models"] = {"judge": {"source": {"path": str(tmp_path / "reward")}}}
        config["scorers"] |= {
            "bertscore": {"type": "bertscore", "encoder": "minilm"},
            "reward": {"type": "reward", "model": "judge"},
            "perplexity": {"type": "perplexity", "model": "tiny", "dtype": "float32"},
        }
        for task in config["tasks"].values():
            task["scorers"] += ["bertscore", "reward", "perplexity"]

    changeable.edit_config(add)
    assert changeable.planned("scores") == {"import_model": 2, "score": 18, "scores": 1}
    changeable.snakemake("--cores", "1", "scores")
    for scorer, metrics in (("bertscore", 3), ("reward", 3), ("perplexity", 2)):
        logs = [path.read_text() for path in changeable.files(f"logs/scores/*/*/*/*/{scorer}.log")]
        # Both tasks, all models: somebody scores for all of them.
        assert len(logs) == 6
        assert sum("answers to score" in log for log in logs) == 1
        files = changeable.files(f"scores/*/*/*/*/{scorer}.jsonl")
        rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        assert len(rows) == 6 * 4 * metrics
        assert {row["status"] for row in rows} <= {"ok", "failed: the answer has no tokens"}

    [first, *_] = changeable.files("scores/*/*/*/*/bertscore.jsonl")
    before = first.read_bytes()
    first.unlink()
    changeable.snakemake("scores")
    assert first.read_bytes() == before
    assert "answers to score" not in changeable.files("logs/scores/*/*/*/*/bertscore.log")[0].read_text()


def test_baselines_and_groups_stand_beside_the_models(changeable):
    def add(config):
        config["tasks"]["shout"] |= {
            "baselines": ["majority", "rule", "copy", "first_sentence", "empty", "nearest"],
            "rule": "{{ input | upper }}",
            "group_by": ["initial"],
        }

    changeable.edit_config(add)
    assert changeable.planned() == {"predict_baseline": 6, "score": 12, "analyse": 1, "report": 1}
    changeable.snakemake()
    assert changeable.planned() == {}

    scores = pd.read_csv(changeable.folder / "results/tables/scores.csv")
    found = scores[(scores["base_model"] == "baseline") & (scores["metric"] == "exact_match")].set_index("run")["mean"]
    assert (found["rule"], found["copy"], found["empty"]) == (1.0, 1.0, 0.0)
    assert scores.loc[scores["base_model"] == "baseline", "task"].unique().tolist() == ["shout"]

    html = (changeable.folder / "results/report.html").read_text()
    assert "A trivial baseline does as well as every model" in html
    assert "rule (baseline)" in {row["label"] for row in rows_of(payload_of(html), "results")}
    groups = pd.read_csv(changeable.folder / "results/tables/groups.csv")
    assert set(groups["key"]) == {"initial"}
    of_model = groups[(groups["run"] == "base") & (groups["metric"] == "rouge1")]
    assert of_model["n"].sum() == 4
    assert "initial" in {row["key"] for row in rows_of(payload_of(html), "slices")}
