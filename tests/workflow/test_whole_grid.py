"""The whole workflow on a tiny random model: what is there in the end, and what runs again when something changes."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
import yaml

from report_pages import answers_of, payload_of, rows_of

EVERYTHING = {
    "import_model": 1,
    "prepare_dataset": 2,
    "decontaminate": 2,
    "make_mix": 4,
    "tokenise": 2,
    "train": 4,
    "predict": 6,
    "check": 5,
    "score": 12,
    "describe_model": 4,
    "describe_data": 1,
    "analyse": 1,
    "report": 1,
}
TRAINED = {"train": 4, "predict": 4, "check": 4, "score": 8, "describe_model": 4, "analyse": 1, "report": 1}


def unpredicted(path):
    """External predictions beside a base model that the grid does not ask."""
    return {"theirs": {"base_model": "tiny", "files": [{"path": path, "task": "whisper", "sample_type": "gold"}]}}


def test_empty_project_plans_the_whole_grid(new_project):
    assert new_project.planned() == EVERYTHING


def test_finished_grid_has_nothing_to_do(finished):
    result = finished.snakemake("-n")
    assert "Nothing to be done" in result.stdout + result.stderr


def test_report_shows_the_numbers_of_the_tables(finished):
    html = (finished.folder / "results/report.html").read_text()
    scores = pd.read_csv(finished.folder / "results/tables/scores.csv")
    assert len(scores) == 6 * 5
    assert set(scores["n"]) == {4}
    payload = payload_of(html)
    shown = {(row["task"], row["run"], row["metric_name"]): row["mean"] for row in rows_of(payload, "runs")}
    assert shown == {(row.task, row.run, f"{row.scorer}/{row.metric}"): row.mean for row in scores.itertuples()}
    main = {(row["task"], row["way"]): row["difference"] for row in rows_of(payload, "main") if row["difference"] is not None}
    comparisons = pd.read_csv(finished.folder / "results/tables/comparisons.csv")
    assert len(comparisons) == 4 * 5
    # With one seed, a way is a run.
    for row in comparisons[comparisons["metric"] == "rouge1"].itertuples():
        assert main[row.task, row.run.removesuffix("__seed1")] == pytest.approx(row.mean_difference)
    assert not re.search(r'(src|href)="https?:', html)


def test_tables_are_those_of_the_score_files(finished):
    scores = pd.read_parquet(finished.folder / "results/tables/scores.parquet")
    files = finished.files("scores/*/*/*/*/*.jsonl")
    assert len(files) == 12
    for file in files:
        task, sample_type, base_model, run, name = file.relative_to(finished.folder / "results/scores").with_suffix("").parts
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for metric in {row["metric"] for row in rows}:
            values = [row["value"] for row in rows if row["metric"] == metric]
            of = {
                "task": task,
                "sample_type": sample_type,
                "base_model": base_model,
                "run": run,
                "scorer": name,
                "metric": metric,
            }
            [found] = scores.loc[(scores[list(of)] == pd.Series(of)).all(axis=1), "mean"]
            assert found == pytest.approx(sum(values) / len(values))


def test_predictions_carry_every_axis_and_meet_the_same_examples(finished):
    table = pd.read_parquet(finished.folder / "results/tables/predictions.parquet")
    assert len(table) == 6 * 4
    assert table.groupby("task")["id"].nunique().eq(4).all()
    runs = table[table["run"] != "base"]
    assert set(zip(runs["trained_task"], runs["nb_samples"], strict=True)) == {(t, n) for t in ("shout", "echo") for n in (4, 8)}
    assert (runs["prompt"].str.endswith("<|im_start|>assistant\n")).all()
    assert (table["runtime_s"] > 0).all()
    assert set(table["finish_reason"]) <= {"stop", "length"}


def test_no_result_that_is_compared_holds_a_path_or_a_time(finished):
    # It was made in one folder, and copied into another. The card of a model says where its base model came from.
    folders = (str(finished.folder), "shared/finished")
    for pattern in ("adapters/**/*", "mixes/**/*", "models/**/*.json", "tables/scores.csv", "scores/**/*"):
        for file in finished.files(pattern):
            if file.is_file() and file.name != "manifest.json":
                assert not any(folder.encode() in file.read_bytes() for folder in folders), file
    config = json.loads(finished.files("adapters/*/*/*/*/adapter_config.json")[0].read_text())
    assert config["base_model_name_or_path"] == "results/models/tiny"


def test_no_training_example_is_a_test_example(finished):
    for task in ("shout", "echo"):
        tested = {json.loads(line)["input"] for line in (finished.folder / f"results/datasets/{task}/gold/test.jsonl").open()}
        for file in finished.files(f"mixes/{task}/gold/*/*/*.jsonl"):
            assert tested.isdisjoint(json.loads(line)["input"] for line in file.open())


def test_jobs_are_of_the_version_that_their_settings_say(finished):
    versions = {json.loads(file.read_text())["stage_version"] for file in finished.files("mixes/*/*/*/*/manifest.json")}
    # The rule's own version is 1, and mixes that are drawn have one more.
    assert versions == {2}


def test_manifest_says_what_an_adapter_was_made_of(finished):
    for file in finished.files("adapters/*/*/*/*/manifest.json"):
        manifest = json.loads(file.read_text())
        assert manifest["examples"]["train"] == manifest["run"]["nb_samples"]
        assert manifest["seeds"] == {"adapter_init": 1, "data_order": 1, "mix": 1}
        assert {"model", "tokenizer", "prompt_template", "train", "validation", "adapter"} == set(manifest["fingerprints"])
        assert manifest["peak_memory_mb"] > 100


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("report.html", {"report": 1}),
        ("figures/loss_curves.svg", {"analyse": 1, "report": 1}),
        ("tables/predictions.parquet", {"analyse": 1, "report": 1}),
        ("scores/echo/gold/tiny/base/rouge.jsonl", {"score": 1, "describe_model": 2, "analyse": 1, "report": 1}),
        ("checks/tiny/base.json", {"check": 1, "report": 1}),
        ("predictions/echo/gold/tiny/base.jsonl", {"predict": 1, "score": 2, "describe_model": 2, "analyse": 1, "report": 1}),
        ("predictions/echo/gold/tiny/base.manifest.json", {"predict": 1, "score": 2, "describe_model": 2, "analyse": 1, "report": 1}),
        ("predictions/echo", {"predict": 3, "score": 6, "describe_model": 2, "analyse": 1, "report": 1}),
        ("adapters/echo/gold/tiny/*n4*/adapter_model.safetensors", {"train": 1, "predict": 1, "check": 1, "score": 2, "describe_model": 1, "analyse": 1, "report": 1}),
        ("adapters/echo/gold/tiny/*n4*/loss.csv", {"train": 1, "predict": 1, "check": 1, "score": 2, "describe_model": 1, "analyse": 1, "report": 1}),
        (
            "datasets/echo/gold/leaks.json",
            {"decontaminate": 1, "make_mix": 2, "describe_data": 1, "train": 2, "predict": 2, "check": 2, "score": 4, "describe_model": 2, "analyse": 1, "report": 1},
        ),
        ("mixes/echo/gold/target_only/n4-seed1/train.jsonl", {"make_mix": 1, "describe_data": 1, "train": 1, "predict": 1, "check": 1, "score": 2, "describe_model": 1, "analyse": 1, "report": 1}),
        (
            "datasets/echo/gold/test.jsonl",
            {"prepare_dataset": 1, "decontaminate": 2, "tokenise": 1, "describe_data": 1, "make_mix": 2, "train": 2, "predict": 3, "check": 2, "score": 6, "describe_model": 2, "analyse": 1, "report": 1},
        ),
        ("models/tiny/tokenizer.json", {"import_model": 1, "tokenise": 2, "describe_data": 1, **TRAINED, "predict": 6, "check": 5, "score": 12}),
    ],
)  # fmt: skip
def test_deleted_file_comes_back_with_what_depends_on_it_and_no_more(changeable, pattern, expected):
    [path] = changeable.files(pattern)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert changeable.planned() == expected


def test_deleted_predictions_are_made_again_the_same(changeable):
    before = pd.read_csv(changeable.folder / "results/tables/scores.csv")
    shutil.rmtree(changeable.folder / "results/predictions/echo")
    changeable.snakemake()
    assert changeable.planned() == {}
    pd.testing.assert_frame_equal(pd.read_csv(changeable.folder / "results/tables/scores.csv"), before)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c["configs"]["lora"].update(learning_rate=0.01), TRAINED),
        (lambda c: c["configs"].update(other={"rank": 2}), {}),
        (lambda c: c["models"].update(other=c["models"]["tiny"]), {}),
        (lambda c: c["models"]["tiny"].update(engine={"type": "hf", "batch_tokens": 9}), {}),
        (lambda c: c["models"]["tiny"].update(price={"hour": 2}), {"analyse": 1, "report": 1}),
        (lambda c: c["models"]["tiny"].update(generation={"stop": ["."]}), {"predict": 6, "score": 12, "describe_model": 4, "analyse": 1, "report": 1}),
        (lambda c: c["models"]["tiny"].update(context_length=300), {"predict": 6, "check": 5, "score": 12, "describe_model": 4, "analyse": 1, "report": 1}),
        (lambda c: c["tasks"]["echo"].update(subset=3), {"predict": 3, "score": 6, "describe_model": 2, "analyse": 1, "report": 1}),
        (
            lambda c: c["tasks"]["echo"].update(instruction="Repeat."),
            {"prepare_dataset": 1, "decontaminate": 2, "tokenise": 1, "describe_data": 1, "make_mix": 2, "train": 2, "predict": 3, "check": 2, "score": 6, "describe_model": 2, "analyse": 1, "report": 1},
        ),
        (lambda c: c["scorers"]["rouge"].update(stemmer=False), {"score": 6, "describe_model": 4, "analyse": 1, "report": 1}),
        (lambda c: c["report"].update(title="Other") if "report" in c else c.update(report={"title": "Other"}), {"report": 1}),
        (lambda c: c["tasks"]["echo"]["scorers"].remove("rouge"), {"describe_model": 4, "analyse": 1, "report": 1}),
        (
            lambda c: c["grid"][0]["nb_samples"].append(6),
            {"make_mix": 2, "describe_data": 1, "train": 2, "predict": 2, "check": 2, "score": 4, "describe_model": 2, "analyse": 1, "report": 1},
        ),
        (
            lambda c: c["grid"][0].update(loss_computations=["completion", "full"]),
            TRAINED,
        ),
        (lambda c: c["grid"].append(c["grid"][0] | {"nb_samples": [8]}), {}),
        (
            lambda c: (c["tasks"].update(whisper=c["tasks"]["echo"] | {"instruction": "Whisper."}), c["grid"][0]["tasks"].append("whisper")),
            {"prepare_dataset": 1, "decontaminate": 3, "tokenise": 1, "make_mix": 2, "describe_data": 1, "train": 2, "predict": 3, "check": 2, "score": 6, "describe_model": 2, "analyse": 1, "report": 1},
        ),
        (lambda c: c["grid"][0].update(evaluate_on="all"), {"predict": 4, "score": 8, "describe_model": 4, "analyse": 1, "report": 1}),
        (
            lambda c: (c["tasks"].update(whisper=c["tasks"]["echo"] | {"instruction": "Whisper."}), c["grid"][0].update(evaluate_on=["whisper"])),
            {"prepare_dataset": 1, "decontaminate": 3, "tokenise": 1, "describe_data": 1, "predict": 5, "score": 10, "describe_model": 4, "analyse": 1, "report": 1},
        ),
        (
            # Trained on another sample type, tested on the same questions and references as the runs that are there.
            lambda c: (c["tasks"]["echo"]["sample_types"].update(loud={"output": "{{ word | upper }}"}), c["grid"].append(c["grid"][0] | {"tasks": ["echo"], "sample_types": ["loud"], "nb_samples": [4], "evaluate_on": {"sample_types": ["gold"]}})),
            {"prepare_dataset": 1, "decontaminate": 1, "tokenise": 1, "make_mix": 1, "describe_data": 1, "train": 1, "predict": 1, "check": 1, "score": 2, "describe_model": 1, "analyse": 1, "report": 1},
        ),
        (lambda c: c["grid"][0]["tasks"].remove("echo"), {"decontaminate": 1, "describe_data": 1, "analyse": 1, "report": 1}),
        (
            lambda c: (c["grid"][0]["tasks"].remove("echo"), c["configs"]["lora"].update(learning_rate=0.01)),
            {"decontaminate": 1, "describe_data": 1, "train": 2, "predict": 2, "check": 2, "score": 4, "describe_model": 2, "analyse": 1, "report": 1},
        ),
        (lambda c: c["models"]["tiny"].update(resources={"train": {"mem_mb": 9000}}), {}),
    ],
    ids=[
        "edited training config", "unused config", "unused model", "speed of the engine", "price", "generation setting", "context length", "subset", "instruction", "scorer setting", "title",
        "removed scorer", "new nb_samples", "new loss", "block that is there already", "new task",
        "evaluated on all tasks", "evaluated on a new task", "trained on another sample type", "removed task", "removed task and edited training config", "memory",
    ],
)  # fmt: skip
def test_edited_config_reruns_only_what_uses_it(changeable, change, expected):
    changeable.edit_config(change)
    assert changeable.planned() == expected


def test_new_time_stamps_comments_and_formatting_of_code_rerun_nothing(changeable):
    later = time.time() + 100
    for path in [changeable.folder / "Snakefile", *(changeable.folder / "workflow").rglob("*")]:
        if path.suffix == ".py":
            path.write_text(path.read_text() + "\n# a comment\n\n")
        os.utime(path, (later, later))
    assert changeable.planned() == {}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("train", TRAINED),
        ("score", {"score": 12, "describe_model": 4, "analyse": 1, "report": 1}),
        ("analyse", {"analyse": 1, "report": 1}),
        ("make_mix", {"make_mix": 4, "describe_data": 1} | TRAINED),
    ],
)
def test_raised_version_reruns_its_stage_and_what_depends_on_it(changeable, rule, expected):
    path = changeable.folder / f"workflow/rules/{rule}.smk"
    path.write_text(re.sub(r"version=\d+", "version=99", path.read_text(), count=1))
    assert changeable.planned() == expected


@pytest.mark.parametrize(
    ("target", "last"),
    [("datasets", "prepare_dataset"), ("mixes", "make_mix"), ("adapters", "train"), ("predictions", "predict"), ("checks", "check"), ("scores", "score"), ("report", "report")],
)  # fmt: skip
def test_target_rules_stop_after_their_stage(new_project, target, last):
    planned = new_project.planned(target)
    planned.pop(target, None) if target != last else None
    stages = list(EVERYTHING)
    assert planned[last] == EVERYTHING[last]
    assert set(planned) <= set(stages[: stages.index(last) + 1])


def test_combination_that_fails_does_not_stop_the_others_and_the_report_says_why(changeable):
    def one_bad_config(config):
        config["configs"]["hot"] = {"learning_rate": 1e30, "max_grad_norm": None, "epochs": 4}
        config["grid"] = [
            config["grid"][0] | {"tasks": ["echo"], "nb_samples": [4]},
            config["grid"][0] | {"tasks": ["echo"], "nb_samples": [4], "configs": ["hot"]},
        ]

    changeable.edit_config(one_bad_config)
    (changeable.folder / "results/report.html").unlink()
    result = changeable.snakemake(check=False)
    assert result.returncode != 0
    assert "try a lower learning_rate" in result.stderr
    assert "partial_report" in result.stdout + result.stderr
    folder = changeable.folder / "results"
    hot = "echo__gold__target_only__n4__hot__completion__seed1"
    assert not (folder / f"adapters/echo/gold/tiny/{hot}").is_dir() or not list(
        (folder / f"adapters/echo/gold/tiny/{hot}").iterdir()
    )
    assert (folder / f"scores/echo/gold/tiny/{hot.replace('hot', 'lora')}/rouge.jsonl").exists()
    assert not (folder / "report.html").exists()

    changeable.snakemake("partial_report")
    html = (folder / "partial/report.html").read_text()
    assert "This grid is not complete" in html
    # Missing files stand behind their reason.
    assert f"adapters/echo/gold/tiny/{hot}/adapter_model.safetensors</code>" in html
    assert "the training loss is nan" in html or "parameters are not finite" in html
    assert f"predictions/echo/gold/tiny/{hot}.jsonl</code>" in html
    assert "not started" in html
    scores = pd.read_csv(folder / "partial/tables/scores.csv")
    assert set(scores["run"]) == {"base", hot.replace("hot", "lora")}

    # Nor does the terminal wait for the rest.
    said = changeable.snakemake("summary").stdout
    assert re.search(r"^Not complete: .*adapters \d+ of \d+", said, re.M)
    assert re.search(r"^base model  ", said, re.M)
    assert re.search(r"^fine-tuned  ", said, re.M)
    assert "\033" not in said
    assert "Verdicts that hold together (main): 1 " in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["configs"]["lora"].update(learning_rat=1), "config/config.yaml: configs.lora.learning_rat: unknown key; did you mean 'learning_rate'?"),
        (lambda c: c["models"]["tiny"]["source"].update(path="no/model"), "config/config.yaml: models.tiny.source.path: 'no/model' does not exist."),
        (lambda c: c["grid"][0].update(base_models=["tini"]), "config/config.yaml: grid[0].base_models: unknown base model 'tini'; did you mean 'tiny'?"),
        (lambda c: c["grid"][0].update(nb_samples=[-1]), "config/config.yaml: grid[0].nb_samples[0]: input should be greater than or equal to 0, not -1."),
        (lambda c: c["grid"][0].update(nb_samples=[4, 9999]), "config/config.yaml: grid[0].nb_samples[1]: 9999 is more than the"),
        (lambda c: c.update(external_predictions=unpredicted("data/test.jsonl")), "config/config.yaml: external_predictions.theirs.base_model: the grid does not ask base model 'tiny' on task 'whisper'"),
        (lambda c: c.update(external_predictions=unpredicted("data/no.jsonl")), "config/config.yaml: external_predictions.theirs.files[0].path: 'data/no.jsonl' does not exist."),
    ],
    ids=[
        "unknown key", "missing file", "unknown base model", "negative nb_samples", "nb_samples larger than the data",
        "external predictions beside nothing", "missing external predictions",
    ],
)  # fmt: skip
def test_wrong_config_gives_one_sentence_before_any_job(new_project, change, sentence):
    new_project.edit_config(lambda c: c["tasks"].update(whisper=c["tasks"]["echo"]))
    new_project.edit_config(change)
    result = new_project.snakemake(check=False)
    assert result.returncode != 0
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not (new_project.folder / "results").exists()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("report: My: title", "column 11: not valid YAML (mapping values are not allowed in this context)"),
        ("report: {examples: 1, examples: 2}", "column 23: the key 'examples' stands in line"),
        ("report: {title: 1.50}", "column 17: YAML reads 1.50 as 1.5; put it in quotes."),
    ],
    ids=["no YAML", "repeated key", "text that looks like a number"],
)
def test_slip_in_the_config_file_is_named_with_its_line(new_project, line, sentence):
    path = new_project.folder / "config/config.yaml"
    text = path.read_text()
    path.write_text(f"{text}{line}\n")
    result = new_project.snakemake("-n", check=False)
    assert f"config/config.yaml, line {len(text.splitlines()) + 1}, {sentence}" in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_data_file_gives_one_sentence(new_project):
    (new_project.folder / "data/test.jsonl").unlink()
    result = new_project.snakemake(check=False)
    assert "config/config.yaml: sources.words.splits.test.path: 'data/test.jsonl' does not exist." in result.stderr


def test_bad_row_gives_one_sentence_with_file_and_line_and_loses_nothing(new_project):
    path = new_project.folder / "data/validation.jsonl"
    path.write_text(path.read_text() + '{"wort": "x"}\n')
    lines = len(path.read_text().splitlines())
    result = new_project.snakemake("datasets", check=False)
    assert (
        f"data/validation.jsonl, line {lines}: the template of 'input' fails: 'word' is undefined; the row has: wort; did you mean wort?"
        in result.stderr
    )
    assert new_project.files("datasets/*/*/*") == []


def test_dry_run_with_the_slurm_profile_passes(new_project):
    result = new_project.snakemake("--profile", "slurm", "-n", "--quiet")
    assert result.returncode == 0


def imported_packages(folder):
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "-n", "--quiet", "--cores", "1"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_parsing_imports_nothing_heavy(new_project, tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/Snakefile").write_text("rule all:\n    output:\n        'x',\n    shell:\n        'touch {output}'\n")
    ours = imported_packages(new_project.folder)
    assert {"snakemake", "loragrid"} <= ours
    assert ours.isdisjoint({"torch", "transformers", "peft", "datasets", "sentence_transformers", "altair", "vl_convert"})
    # Snakemake's Slurm plugin brings pandas and numpy along, whatever the Snakefile.
    assert (ours - imported_packages(tmp_path / "bare")).isdisjoint({"pandas", "numpy", "pyarrow"})


def test_override_file_is_laid_over_the_default(finished):
    path = finished.folder / "config/more.yaml"
    path.write_text(yaml.safe_dump({"configs": {"lora": {"rank": 2}}}))
    assert finished.planned("--configfile", "config/more.yaml") == TRAINED
    path.unlink()


def test_fractional_mix_holds_other_tasks_and_no_test_example(new_project):
    def mixed(config):
        config["mixes"]["fractional"] = {"recipe": "fractional", "tasks": ["shout", "echo"], "nb_others": 5, "nb_validation": 4}
        config["grid"] = [config["grid"][0] | {"mixes": ["fractional"], "tasks": ["echo"], "nb_samples": [0, 6]}]
        # The other task's test questions are this task's training questions.
        config["tasks"]["shout"]["source"] = "swapped"
        files = config["sources"]["words"]["splits"]
        config["sources"]["swapped"] = {
            "splits": {"train": files["train"], "validation": files["validation"], "test": files["train"]}
        }
        config["grid"].append(config["grid"][0] | {"tasks": ["shout"], "nb_samples": [0]})

    new_project.edit_config(mixed)
    result = new_project.snakemake("mixes", check=False)
    # Every training question of shout is a test question, so that nothing of it is left to mix in.
    assert "training examples of task" in result.stderr

    def not_quite(config):
        path = new_project.folder / "data/some.jsonl"
        path.write_text("".join((new_project.folder / "data/train.jsonl").read_text().splitlines(keepends=True)[:6]))
        config["sources"]["swapped"]["splits"]["test"] = {"path": "data/some.jsonl"}

    new_project.edit_config(not_quite)
    new_project.snakemake("mixes")
    for size in (0, 6):
        folder = new_project.folder / f"results/mixes/echo/gold/fractional/n{size}-seed1"
        rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
        assert [row["task"] for row in rows] == ["echo"] * size + ["shout"] * 5
        tested = {json.loads(line)["word"] for line in (new_project.folder / "data/some.jsonl").read_text().splitlines()}
        assert tested.isdisjoint(row["input"] for row in rows)
        assert len(json.loads((folder / "manifest.json").read_text())["left_out_because_tested"]["train"]["echo"]) == 6


def test_ways_of_asking_are_an_axis_of_prediction_and_train_nothing_more(changeable):
    def asked(config):
        config["promptings"] = {"three": {"type": "few_shot", "k": 3}}
        config["tasks"]["echo"]["prompt_variants"] = {21: {"instruction": "Again: {{ instruction }}", "prompt_format": "alpaca"}}
        ways = {"tasks": ["echo"], "nb_samples": [4], "promptings": ["three"], "prompt_variants": ["default", 21]}
        config["grid"].append(config["grid"][0] | ways)

    changeable.edit_config(asked)
    more = {"select_demonstrations": 1, "predict": 4, "score": 8, "describe_model": 1, "analyse": 1, "report": 1}
    assert changeable.planned() == more
    changeable.snakemake()
    assert changeable.planned() == {}
    folder = changeable.folder / "results"
    chosen = json.loads((folder / "demonstrations/echo/gold/three.json").read_text())
    train = {row["id"]: row for row in map(json.loads, (folder / "datasets/echo/gold/train.jsonl").open())}
    for line in (folder / "predictions/echo/gold/tiny/base~three~21.jsonl").open():
        row = json.loads(line)
        assert (row["prompting"], row["prompt_variant"]) == ("three", "21")
        shown = [train[id_]["output"] for id_ in chosen[row["id"]]]
        assert len(shown) == 3
        assert [row["prompt"].index(f"### Response:\n{output}") for output in shown] == sorted(
            row["prompt"].index(f"### Response:\n{output}") for output in shown
        )
        assert row["prompt"].count("### Instruction:\nAgain: Say it again.") == 4
    scores = pd.read_csv(folder / "tables/scores.csv")
    assert len(scores) == (6 + 4) * 5
    comparisons = pd.read_csv(folder / "tables/comparisons.csv")
    assert len(comparisons) == (4 + 2) * 5
    path = changeable.folder / "data/prompts/alpaca.jinja"
    path.write_text(path.read_text().replace("Below", "Here"))
    assert changeable.planned() == {"predict": 2, "score": 4, "describe_model": 1, "analyse": 1, "report": 1}


def test_decodings_are_an_axis_and_several_answers_count_as_one_example(changeable):
    def warm(config):
        config["decodings"] = {"warm": {"temperature": 1.0, "top_k": 40, "samples": 3, "seed": 5}, "live": {"latency": True}}
        config["grid"].append(config["grid"][0] | {"tasks": ["echo"], "nb_samples": [4], "decodings": ["warm", "live"]})

    changeable.edit_config(warm)
    assert changeable.planned() == {"predict": 4, "score": 8, "describe_model": 1, "analyse": 1, "report": 1}
    changeable.snakemake()
    folder = changeable.folder / "results"
    predictions = pd.read_parquet(folder / "tables/predictions.parquet")
    sampled = predictions[predictions["decoding"] == "warm"]
    assert all(sorted(samples) == [0, 1, 2] for _, samples in sampled.groupby(["run", "id"])["sample"])
    assert sampled.groupby(["run", "id"])["prediction"].nunique().gt(1).any()
    live = predictions[predictions["decoding"] == "live"].set_index(["run", "id"])
    greedy = predictions[(predictions["decoding"] == "greedy") & (predictions["task"] == "echo")].set_index(["run", "id"])
    assert set(live["batch_size"]) == {1}
    assert set(greedy["batch_size"]) == {4}
    assert (live["prediction"] == greedy.loc[live.index, "prediction"]).all()
    scores = pd.read_csv(folder / "tables/scores.csv")
    assert set(scores["n"]) == {4}
    payload = payload_of((folder / "report.html").read_text())
    assert "n=4, warm" in {row["label"] for row in rows_of(payload, "results")}


def test_base_model_answers_the_same_prompt_once_for_all_sample_types(changeable):
    def another_sample_type(config):
        config["tasks"]["shout"]["sample_types"]["low"] = {"output": "{{ word | lower }}"}
        config["grid"].append({"base_models": ["tiny"], "tasks": ["shout"], "sample_types": ["low"]})

    changeable.edit_config(another_sample_type)
    plan = {"prepare_dataset": 1, "decontaminate": 3, "tokenise": 1, "describe_data": 1}
    assert changeable.planned() == plan | {"predict": 1, "score": 2, "analyse": 1, "report": 1}
    changeable.snakemake()
    folder = changeable.folder / "results/predictions/shout"
    first, second = (
        {row["prompt"]: row for row in map(json.loads, (folder / sample_type / "tiny/base.jsonl").open())}
        for sample_type in ("gold", "low")
    )
    assert first.keys() == second.keys()
    for prompt, row in second.items():
        assert row["reference"] == first[prompt]["reference"].lower()
        same = ("prediction", "runtime_s", "queue_s", "new_tokens", "engine_version")
        assert [row[field] for field in same] == [first[prompt][field] for field in same]
    assert json.loads((folder / "low/tiny/base.manifest.json").read_text())["taken_over"] == 4
    assert changeable.planned() == {}
    (folder / "gold/tiny/base.jsonl").unlink()
    assert changeable.planned()["predict"] == 2


def test_check_that_fails_leaves_its_evidence(changeable):
    import torch
    from safetensors.torch import load_file, save_file

    changeable.edit_config(lambda config: config["grid"][0].update(tasks=["echo"], nb_samples=[4]))
    [adapter] = changeable.files("adapters/echo/gold/tiny/*n4*/adapter_model.safetensors")
    save_file({name: torch.zeros_like(weight) for name, weight in load_file(adapter).items()}, adapter)
    # Else the file counts as damaged.
    manifest = adapter.with_name("manifest.json")
    told = json.loads(manifest.read_text())
    del told["fingerprints"]["adapter"]
    manifest.write_text(json.dumps(told))
    shutil.rmtree(changeable.folder / "results/checks")
    result = changeable.snakemake("checks", check=False)
    assert "does not pass: differs from base; the evidence is in results/checks/tiny/" in result.stderr
    assert [path.name for path in changeable.files("checks/tiny/*.json") if ".failed." not in path.name] == ["base.json"]
    evidence = json.loads(changeable.files("checks/tiny/*.failed.json")[0].read_text())
    assert evidence["checks"]["differs from base"] == {"passed": False, "evidence": [0.0, 0.0]}


def test_run_is_tested_on_a_task_that_it_was_not_trained_for(changeable):
    folder = changeable.folder / "results"
    before = (folder / "report.html").read_text()
    assert "transfer" not in payload_of(before)["tables"]
    assert len(pd.read_csv(folder / "tables/transfer.csv")) == 0

    def also_whispering(config):
        # Another limit and another scorer, to tell them apart.
        config["tasks"]["whisper"] = config["tasks"]["echo"] | {"instruction": "Whisper.", "subset": 3, "scorers": ["rouge"]}
        config["grid"].append(config["grid"][0] | {"tasks": ["echo"], "nb_samples": [4], "evaluate_on": ["whisper"]})

    changeable.edit_config(also_whispering)
    changeable.snakemake()
    assert changeable.planned() == {}
    run = "echo__gold__target_only__n4__lora__completion__seed1"
    scores = pd.read_csv(folder / "tables/scores.csv")
    foreign = scores[scores["task"] == "whisper"]
    assert set(foreign["run"]) == {"base", run}
    assert set(foreign["scorer"]) == {"rouge"}
    assert set(foreign["n"]) == {3}
    comparisons = pd.read_csv(folder / "tables/comparisons.csv").set_index(["run", "task", "metric"])
    transfer = pd.read_csv(folder / "tables/transfer.csv").set_index(["task", "metric"])
    assert set(transfer["trained_task"]) == {"echo"}
    assert set(transfer["nb_samples"]) == {4}
    html = (folder / "report.html").read_text()
    payload = payload_of(html)
    in_page = {(row["task"], row["metric"]): row for row in rows_of(payload, "transfer")}
    for task in ("echo", "whisper"):
        compared = comparisons.loc[(run, task, "rouge1")]
        shown = transfer.loc[(task, "rouge1")]
        assert shown["mean_difference"] == pytest.approx(compared["mean_difference"])
        assert in_page[task, "rouge1"]["mean_difference"] == shown["mean_difference"]
    assert "n=4, from echo/gold" in {row["label"] for row in rows_of(payload, "results")}
    lead = re.compile(r'<p class="lead">.*?</p>', re.DOTALL)
    assert lead.search(html)[0] == lead.search(before)[0]
    card = (folder / f"adapters/echo/gold/tiny/{run}/README.md").read_text()
    assert card.index("| echo/gold | zero_shot") < card.index("| whisper/gold | zero_shot")


def test_predictions_made_elsewhere_stand_beside_ours(changeable):
    folder = changeable.folder / "results"
    test = [json.loads(line) for line in (folder / "datasets/echo/gold/test.jsonl").open()]
    theirs, people = changeable.folder / "data/theirs.jsonl", changeable.folder / "data/people.csv"
    theirs.write_text("".join(json.dumps({"key": row["id"], "answer": row["output"]}) + "\n" for row in test))
    predicted = [json.loads(line)["id"] for line in (folder / "predictions/echo/gold/tiny/base.jsonl").open()]
    asked = [row for row in test if row["id"] in predicted]
    people.write_text("prompt,prediction\n" + "".join(f"{row['input']},no idea\n" for row in asked))

    def elsewhere(config):
        data = {"task": "echo", "sample_type": "gold"}
        config["external_predictions"] = {
            "theirs": {
                "base_model": "tiny",
                "files": [{"path": "data/theirs.jsonl"} | data],
                "id": "{{ key }}",
                "prediction": "{{ answer }}",
            },
            "some-people": {"files": [{"path": "data/people.csv"} | data], "match": "prompt"},
        }

    changeable.edit_config(elsewhere)
    assert changeable.planned() == {"import_predictions": 2, "score": 4, "analyse": 1, "report": 1}
    changeable.snakemake()
    assert changeable.planned() == {}
    scores = pd.read_csv(folder / "tables/scores.csv").set_index(["base_model", "run", "task", "metric"])["mean"]
    assert scores["tiny", "theirs", "echo", "exact_match"] == 1
    assert scores["external", "some-people", "echo", "exact_match"] == 0
    comparisons = pd.read_csv(folder / "tables/comparisons.csv").set_index(["run", "metric"])
    assert "some-people" not in comparisons.index
    base = scores["tiny", "base", "echo", "exact_match"]
    assert comparisons.loc[("theirs", "exact_match"), "mean_difference"] == pytest.approx(1 - base)
    manifest = json.loads((folder / "predictions/echo/gold/tiny/theirs.manifest.json").read_text())
    assert (manifest["examples"], manifest["ignored"]) == (4, len(test) - 4)
    assert {"theirs", "some-people"}.isdisjoint(pd.read_csv(folder / "tables/prediction_costs.csv")["run"])
    html = (folder / "report.html").read_text()
    answers = answers_of(html, "echo")
    assert {"theirs", "some-people"} <= {model["label"] for model in answers["models"]}
    said = zip(answers["answers"]["model"], answers["answers"]["texts"], strict=True)
    assert ["no idea"] in [text for model, text in said if answers["models"][model]["label"] == "some-people"]
    changeable.snakemake("partial_report")

    # A file that changes has no consequences but for its own predictions.
    people.write_text(people.read_text().replace("no idea", "an idea", 1).replace(asked[-1]["input"], "what?"))
    assert changeable.planned() == {"import_predictions": 1, "score": 2, "analyse": 1, "report": 1}
    result = changeable.snakemake(check=False)
    sentences = [
        f"data/people.csv: 1 of 4 evaluated test examples have no row: {asked[-1]['id']}; give them rows, or set "
        "external_predictions.some-people.missing: empty, which counts them as empty answers.",
        "data/people.csv: rows that belong to no test example by their prompt (1): line 5.",
    ]
    assert all(sentence in result.stderr for sentence in sentences)


def test_prompts_are_shown_on_request_and_only_then(changeable):
    assert changeable.planned("prompts") == {"show_prompt": 2, "prompts": 1}
    path = changeable.folder / "results/prompts/echo/gold/tiny.txt"
    changeable.snakemake("results/prompts/echo/gold/tiny.txt")
    prediction = json.loads((changeable.folder / "results/predictions/echo/gold/tiny/base.jsonl").read_text().splitlines()[0])
    title = "----- prompt -------------------------------------------------------------------\n"
    assert path.read_text().partition(title)[2].startswith(prediction["prompt"])
    assert changeable.planned() == {}


def test_predictions_are_exported_on_request_and_only_then(changeable):
    assert changeable.planned("exports") == {"export": 6, "export_log": 6, "exports": 1}
    path = "results/exports/echo/gold/tiny/base.jsonl"
    changeable.snakemake(path)
    rows = [json.loads(line) for line in (changeable.folder / path).open()]
    predictions = [json.loads(line) for line in (changeable.folder / "results/predictions/echo/gold/tiny/base.jsonl").open()]
    assert [(row["output"], row["prediction"]) for row in rows] == [(row["reference"], row["prediction"]) for row in predictions]
    assert all(row["instruction"] == "Say it again." and row["input"].upper() == row["output"] for row in rows)
    table = pd.read_csv((changeable.folder / path).with_suffix(".csv"), keep_default_na=False)
    assert table.to_dict("records") == rows
    log = Path(path).with_suffix(".eval")
    changeable.snakemake(str(log))
    with ZipFile(changeable.folder / log) as archive:
        samples = [json.loads(archive.read(f"samples/{one['id']}_epoch_1.json")) for one in predictions]
    assert [sample["output"]["completion"] for sample in samples] == [row["prediction"] for row in rows]
    assert [set(sample["scores"]) for sample in samples] == [{"rouge", "exact_match"}] * len(rows)
    assert changeable.planned("exports") == {"export": 5, "export_log": 5, "exports": 1}
    assert changeable.planned() == {}

    # What is asked for in another way is exported too, and so is what was made elsewhere.
    (changeable.folder / "data/theirs.jsonl").write_text("")

    def more(config):
        config["tasks"]["echo"]["prompt_variants"] = {21: {"instruction": "Again."}}
        config["grid"].append(config["grid"][0] | {"tasks": ["echo"], "nb_samples": [4], "prompt_variants": [21]})
        files = [{"path": "data/theirs.jsonl", "task": "echo", "sample_type": "gold"}]
        config["external_predictions"] = {"theirs": {"files": files}}

    changeable.edit_config(more)
    needed = {"predict": 2, "import_predictions": 1, "score": 6}
    assert changeable.planned("exports") == {"export": 8, "export_log": 8, "exports": 1} | needed


def test_scores_are_sent_to_trackers_on_request_and_again_when_they_change(changeable):
    result = changeable.snakemake("tracked", "-n", check=False)
    assert "trackers: none is named in the configuration; it says where scores are sent." in result.stdout + result.stderr
    pytest.importorskip("tensorboard")
    changeable.edit_config(lambda config: config.update(trackers=["tensorboard"]))
    assert changeable.planned() == {}
    assert changeable.planned("tracked") == {"track": 1, "tracked": 1}
    changeable.snakemake("tracked")
    scores = pd.read_csv(changeable.folder / "results/tables/scores.csv")
    sent = json.loads((changeable.folder / "results/tracked.json").read_text())["models"]
    for row in scores.to_dict("records"):
        place = f"scores/{row['task']}/gold/{row['scorer']}/{row['metric']}"
        assert sent[f"tiny/{row['run']}"]["values"][place] == pytest.approx(row["mean"])
    assert all(list(changeable.folder.glob(f"results/trackers/{model}/loragrid/events*.scores")) for model in sent)
    assert changeable.planned("tracked") == {}
    # Verdicts change.
    changeable.edit_config(lambda config: config.setdefault("report", {}).update(smallest_difference={"rouge/rougeL": 0.9}))
    assert changeable.planned("tracked") == {"analyse": 1, "track": 1, "tracked": 1}


def test_examples_with_several_prompts_go_through_the_whole_grid(changeable):
    def several(config):
        config["tasks"]["echo"] |= {"input": "", "prompts": "[word, word | reverse]"}
        config["tasks"]["echo"]["sample_types"] = {"gold": {"outputs": "[word, word | upper]"}}
        config["tasks"]["shout"] |= {"input": "", "prompts": "[word, word | reverse]", "answers": "joined"}
        config["grid"] = [config["grid"][0] | {"tasks": ["echo"], "nb_samples": [4]}]

    changeable.edit_config(several)
    changeable.snakemake()
    assert changeable.planned() == {}
    folder = changeable.folder / "results"
    rows = [json.loads(line) for line in (folder / "predictions/echo/gold/tiny/base.jsonl").open()]
    assert all(len(row[key]) == 2 for row in rows for key in ("prompt", "prediction", "reference", "runtime_s", "finish_reason"))
    scores = pd.read_csv(folder / "tables/scores.csv")
    assert set(scores["n"]) == {4}
    assert len(pd.read_parquet(folder / "tables/predictions.parquet")) == 2 * 4 * 2
    [manifest] = changeable.files("adapters/echo/*/*/*n4*/manifest.json")
    assert json.loads(manifest.read_text())["examples"]["train"] == 2 * 4


def test_mistake_in_an_override_file_is_found_in_that_file(new_project):
    path = new_project.folder / "config/more.yaml"
    path.write_text(yaml.safe_dump({"grid": [{"base_models": ["tiny"]}], "configs": {"lora": {"rank": 0}}}))
    result = new_project.snakemake("-n", "--configfile", "config/more.yaml", check=False)
    sentences = result.stderr.splitlines()
    assert any(
        line.endswith("more.yaml: configs.lora.rank: input should be greater than or equal to 1, not 0.") for line in sentences
    )
    assert any(line.endswith("more.yaml: grid[0].tasks: this key is required but missing.") for line in sentences)


def test_every_kind_of_training_goes_through_the_whole_grid(changeable):
    def methods(config):
        config["configs"] |= {
            "whole": {"method": "full", "learning_rate": 0.01},
            "prompt": {"method": "prompt_tuning", "virtual_tokens": 4, "learning_rate": 0.1},
            "further": {
                "method": "continue",
                "adapter": "results/adapters/echo/gold/tiny/echo__gold__target_only__n4__lora__completion__seed1",
            },
        }
        config["grid"] = [
            config["grid"][0] | {"tasks": ["echo"], "nb_samples": [4], "configs": ["lora", *list(config["configs"])[1:]]}
        ]
        config["hub"] = {"repository": "me/{base_model}-{task}-{config}"}

    changeable.edit_config(methods)
    changeable.snakemake()
    assert changeable.planned() == {}
    name = "echo__gold__target_only__n4__{}__completion__seed1"
    results = changeable.folder / "results"
    whole = results / "finetuned/echo/gold/tiny" / name.format("whole")
    assert {"config.json", "model.safetensors", "tokenizer.json", "loss.csv", "manifest.json", "README.md"} <= {
        p.name for p in whole.iterdir()
    }
    predictions = pd.read_parquet(results / "tables/predictions.parquet")
    assert predictions.groupby("run").size().to_dict() == {"base": 4} | {
        name.format(c): 4 for c in ("lora", "whole", "prompt", "further")
    }
    assert len(pd.read_csv(results / "tables/training_costs.csv")) == 4

    # Editing what a training continues reruns both.
    changeable.edit_config(lambda c: c["configs"]["lora"].update(rank=2))
    assert changeable.planned("adapters") == {"adapters": 1, "train": 2}
    changeable.edit_config(lambda c: c["configs"]["lora"].update(rank=4))

    result = changeable.snakemake("merged")
    assert "merged: leaves out what is no change of weights: configs prompt." in result.stdout + result.stderr
    assert not (results / "merged/echo/gold/tiny" / name.format("prompt")).exists()
    asked = f"results/merged/echo/gold/tiny/{name.format('prompt')}/model.safetensors"
    refused = changeable.snakemake("-n", asked, check=False)
    assert (
        f"{name.format('prompt')} cannot be merged: configs.prompt learns what stands beside the weights"
        in refused.stdout + refused.stderr
    )
    merged_models_answer_like_their_adapters(results, name)

    changeable.snakemake("pushed")
    receipt = json.loads((results / f"pushed/echo/gold/tiny/{name.format('lora')}.json").read_text())
    assert receipt["repository"] == "me/tiny-echo-lora"
    assert receipt["commit"] is None
    assert set(receipt["files"]) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}


def merged_models_answer_like_their_adapters(results, name):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ids = torch.tensor([[5, 6, 7]])
    for config in ("lora", "whole", "further"):
        merged = AutoModelForCausalLM.from_pretrained(results / "merged/echo/gold/tiny" / name.format(config))
        if config == "whole":
            expected = AutoModelForCausalLM.from_pretrained(results / "finetuned/echo/gold/tiny" / name.format(config))
        else:
            base = AutoModelForCausalLM.from_pretrained(results / "models/tiny")
            expected = PeftModel.from_pretrained(base, results / "adapters/echo/gold/tiny" / name.format(config))
        with torch.inference_mode():
            torch.testing.assert_close(merged(input_ids=ids).logits, expected(input_ids=ids).logits, rtol=1e-3, atol=1e-3)


def test_pushing_without_saying_where_to_is_a_sentence(new_project):
    result = new_project.snakemake("-n", "pushed", check=False)
    assert "hub: this section is missing in the configuration" in result.stdout + result.stderr
