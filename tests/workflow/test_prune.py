"""What the grid does not ask for any more is listed, then removed; nothing else ever is."""

import csv
import json
import re
import shutil
from base64 import urlsafe_b64encode
from pathlib import Path


def listed(project):
    """The lines of the list by path."""
    project.snakemake("prunable")
    with open(project.folder / "results/prunable.csv", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def everything(project):
    """All results but what the two rules write themselves."""
    found = {path.relative_to(project.folder).as_posix() for path in project.files("**/*") if not path.is_dir()}
    return {path for path in found if not re.search(r"prun(able|e)\b", path)}


def without_echo(config):
    [block] = config["grid"]
    block["tasks"].remove("echo")
    block["nb_samples"].remove(8)
    config["tasks"]["shout"]["scorers"] = ["rouge"]
    config["tasks"]["echo"]["scorers"] = ["rouge"]


def with_echo(config):
    [block] = config["grid"]
    block["tasks"].append("echo")
    config["tasks"]["echo"]["scorers"] = ["rouge", "exact_match"]


def test_pruning_removes_what_is_out_of_the_grid_and_putting_it_back_computes_that_alone(changeable):
    assert listed(changeable) == {}
    [whose] = changeable.files(".state/scores/*.json")
    assert json.loads(whose.read_text())["settings"]["type"] == "rouge"

    changeable.edit_config(without_echo)
    changeable.snakemake()
    mine = changeable.folder / "results/adapters/echo/gold/tiny/echo__gold__target_only__n4__lora__completion__seed1/mine.txt"
    mine.write_text("a note")
    before = everything(changeable)
    rows = listed(changeable)
    assert everything(changeable) == before

    unwanted = {path for path in before if re.search(r"\becho(__|/)|n8|exact_match", path)}
    kept = {path for path, row in rows.items() if row["stage"] == "unknown"}
    assert kept == {mine.relative_to(changeable.folder).as_posix()}
    assert rows.keys() == unwanted
    assert {row["why"] for path, row in rows.items() if path not in kept} == {
        "task echo is not in the grid",
        "nb_samples 8 is not in the grid",
        "scorer exact_match is not in the grid",
    }
    archive = (changeable.folder / "results/prunable.txt").read_text().splitlines()
    assert set(archive) == unwanted - kept

    said = changeable.snakemake("prune").stdout
    assert re.search(rf"{len(archive)} +[\d.]+  in all", said)
    assert f"{len(archive)} files removed" in said
    assert everything(changeable) == before - set(archive)
    assert not [
        path for path in changeable.files("**/") if path.is_dir() and not any(path.iterdir()) and ".state" not in str(path)
    ]
    assert changeable.planned() == {}

    changeable.edit_config(with_echo)
    planned = changeable.planned()
    again = {
        "prepare_dataset": 1,
        "make_mix": 1,
        "tokenise": 1,
        "train": 1,
        "predict": 2,
        "check": 1,
        "score": 4,
        "describe_model": 1,
    }
    # The test sets of all data sets are compared with each other.
    assert planned == again | {"decontaminate": 2, "analyse": 1, "describe_data": 1, "report": 1}

    # Nothing that this version has made is in doubt.
    assert "No result is in doubt" in changeable.snakemake("doubtful").stdout
    assert (changeable.folder / "results/doubtful.csv").read_text() == "file,check,what,evidence\n"


def test_prune_removes_nothing_that_was_not_listed_for_this_configuration(changeable):
    before = everything(changeable)
    changeable.edit_config(without_echo)
    refused = changeable.snakemake("prune", check=False)
    assert refused.returncode
    assert "results/prunable.csv: there is no such list, so that nothing is removed." in refused.stderr

    rows = listed(changeable)
    changeable.edit_config(lambda config: config["grid"][0].update(nb_samples=[8]))
    refused = changeable.snakemake("prune", check=False)
    assert refused.returncode
    assert "this list was made for another configuration, so that nothing is removed" in refused.stderr
    assert everything(changeable) == before

    # A line that somebody takes out of the list is a file that stays.
    changeable.edit_config(lambda config: config["grid"][0].update(nb_samples=[4]))
    path = changeable.folder / "results/prunable.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "adapter_model" not in line))
    changeable.snakemake("prune")
    assert everything(changeable) == before - {path for path in rows if "adapter_model" not in path}


def rich(config):
    """Everything that makes one result depend on another, and everything that is made on demand."""
    files = config["sources"]["words"]["splits"]
    source = config["models"]["tiny"]["source"]
    config["encoders"] = {"enc": {"source": source}}
    config["models"] |= {"cleaner": {"source": source}, "scorer": {"source": source}}
    config["sources"]["made"] = {
        "splits": {"test": {"path": "results/exports/shout/gold/tiny/base.jsonl"}} | {"train": files["train"]}
    }
    other = config["tasks"]["echo"]
    config["tasks"] |= {
        "mixed_in": other | {"cleaning": {"tokenizer": "cleaner"}},
        "elsewhere": other,
        "made": other | {"source": "made", "baselines": ["empty"]},
    }
    config["tasks"]["shout"]["scorers"] = ["exact_match", "perplexity", "sbert"]
    config["scorers"] |= {"perplexity": {"type": "perplexity", "model": "scorer"}, "sbert": {"type": "sbert", "encoder": "enc"}}
    config["mixes"]["mixed"] = {"recipe": "fractional", "tasks": ["mixed_in", "echo"], "nb_validation": 3}
    old = "results/by_hand/adapter"
    config["configs"] |= {"whole": {"method": "full"}, "further": {"method": "continue", "adapter": old}}
    config["configs"] |= {"prompt": {"method": "prompt_tuning"}}
    config["promptings"] = {"near": {"type": "retrieved", "k": 1, "encoder": "enc"}}
    [block] = config["grid"]
    block |= {
        "tasks": ["shout", "made"],
        "nb_samples": [4],
        "mixes": ["mixed"],
        "configs": ["lora", "whole", "further", "prompt"],
    }
    block |= {"promptings": ["zero_shot", "near"], "seeds": [1, 2]}
    answers = [{"path": "results/exports/theirs.csv", "task": "elsewhere", "sample_type": "gold"}]
    config["external_predictions"] = {"theirs": {"files": answers, "match": "prompt", "prediction": "{{ said }}"}}
    config["human_evaluations"] = {
        "us": {"tasks": ["shout"], "annotators": ["anna"], "criteria": {"good": {"question": "Good?"}}}
    }
    config["hub"] = {"repository": "we/{base_model}-{task}-{config}-{seed}"}
    config["trackers"] = ["tensorboard"]
    config["report"] = {"answers_in": "folder"}


def test_no_file_that_any_job_of_the_grid_reads_or_writes_can_be_pruned(new_project):
    """A grid of everything: all files that Snakemake would touch are there, empty, and none of them is listed."""
    project = new_project
    exports = project.folder / "results/exports"
    old = project.folder / "results/by_hand/adapter"
    for path in (
        exports / "theirs.csv",
        exports / "shout/gold/tiny/base.jsonl",
        *(old / f"adapter_{name}" for name in ("model.safetensors", "config.json")),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    project.edit_config(rich)
    targets = ("all", "exports", "human_sheets", "merged", "pushed", "tracked")
    said = project.snakemake("--detailed-summary", *targets).stdout
    touched = set(re.findall(r"\bresults/[^\s,]+", said))
    assert len(touched) > 400, said
    for stage in (
        "models/cleaner",
        "models/enc",
        "models/scorer",
        "datasets/mixed_in",
        "tokens/tiny/mixed_in",
        "merged",
        "finetuned",
        "pushed",
        "report_answers",
    ):
        assert any(path.startswith(f"results/{stage}/") for path in touched), stage
    trained = {tuple(path.split("/")[2:6]) for path in touched if path.startswith(("results/adapters/", "results/finetuned/"))}
    tracked = [f"results/trackers/tiny/{model}/loragrid/events.scores" for model in (*(run for *_, run in trained), "base")]
    tracked += [f"results/trackers/{model}/loragrid/events.scores" for model in ("baseline/empty", "external/theirs")]
    # By its log, a training is known to have been here.
    for path in (*tracked, *(f"results/logs/adapters/{'/'.join(one)}.log" for one in trained)):
        (project.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / path).write_text("{}")
    for path in touched:
        # Snakemake's record of a result, by which a result is told from a file of somebody's.
        encoded = urlsafe_b64encode(path.encode()).decode()
        parts = re.findall(".{1,254}", encoded)
        record = project.folder.joinpath(".snakemake/metadata", *(f"@{part}" for part in parts[:-1]), parts[-1])
        for file in (project.folder / path, record):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("{}\n")
    assert listed(project) == {}

    def smaller(config):
        config["grid"][0]["seeds"] = [1]
        del config["hub"], config["grid"][0]["promptings"]

    project.edit_config(smaller)
    rows = listed(project)
    assert {path for path in [*touched, *tracked] if "seed2" in path or "near" in path} <= rows.keys()
    assert {row["why"] for row in rows.values()} == {"seed 2 is not in the grid", "mix_seed 2 is not in the grid"} | {
        f"{name} is not in the grid" for name in ("variant ~near~default", "prompting near")
    }


def test_results_on_another_disk_stay_there(changeable, tmp_path):
    """A folder that is moved and linked is not looked into."""
    here, there = changeable.folder / "results/adapters/echo", tmp_path / "echo"
    shutil.move(here, there)
    here.symlink_to(there)
    adapters = sorted(Path(there).rglob("*"))
    changeable.edit_config(without_echo)
    assert listed(changeable)["results/adapters/echo"]["stage"] == "unknown"
    changeable.snakemake("prune")
    assert sorted(Path(there).rglob("*")) == adapters
    assert here.is_symlink()
