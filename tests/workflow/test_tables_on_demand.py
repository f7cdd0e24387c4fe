"""Tables that are made on demand, by targets of their own."""

import pandas as pd


def test_what_a_limit_of_length_takes_from_references_is_told_on_request_and_only_then(changeable):
    assert changeable.planned("cut_offs") == {"cut_offs": 1}
    said = changeable.snakemake("cut_offs").stdout
    assert "tiny, echo/gold, train: at 1024 tokens, simply cut, 0 of " in said
    rows = pd.read_csv(changeable.folder / "results/tables/cut_offs.csv")
    assert set(rows["here"]) == {"whole"}
    summary = pd.read_csv(changeable.folder / "results/tables/cut_offs_by_set.csv")
    assert summary["references"].sum() == len(rows)
    assert changeable.planned() == {}


def test_tokens_that_learnt_prompts_are_near_to_are_listed_on_request(changeable):
    result = changeable.snakemake("learnt_prompts", "-n", check=False)
    assert "learnt_prompts: no run of the grid learns a prompt; a config does with method: prompt_tuning." in result.stdout

    def more(config):
        config["configs"]["soft"] = {"method": "prompt_tuning", "virtual_tokens": 2, "max_steps": 1, "max_length": 64}
        config["grid"].append(config["grid"][0] | {"tasks": ["echo"], "nb_samples": [4], "configs": ["soft"]})

    changeable.edit_config(more)
    assert changeable.planned("learnt_prompts") == {"train": 1, "learnt_prompts": 1}
    changeable.snakemake("learnt_prompts")
    table = pd.read_csv(changeable.folder / "results/tables/learnt_prompts.csv")
    assert table.groupby("position")["rank"].agg(["min", "max"]).to_dict("list") == {"min": [1, 1], "max": [10, 10]}
    # After one step, a prompt that began as tokens is still near to them.
    assert table[table["rank"] == 1]["cosine"].min() > 0.9
