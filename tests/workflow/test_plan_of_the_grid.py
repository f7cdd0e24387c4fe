"""What `snakemake plan` says of a grid that is not begun, finished or changed, beside what Snakemake itself would do."""

import csv
import json

import pytest
import yaml


def plan(project, *arguments):
    """What it prints, and the rows of its table."""
    result = project.snakemake("plan", *arguments)
    with open(project.folder / "results/plan.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return result.stdout, rows


def counts(rows, column="to_do"):
    found = {}
    for row in rows:
        found[row["rule"]] = found.get(row["rule"], 0) + int(row[column])
    return {rule: count for rule, count in found.items() if count}


def test_plan_of_an_untouched_project_is_what_snakemake_would_do_and_computes_nothing(new_project):
    said, rows = plan(new_project)
    assert counts(rows) == new_project.planned()
    assert counts(rows, "done") == {}
    files = {str(path.relative_to(new_project.folder / "results")) for path in new_project.files("**/*") if path.is_file()}
    assert files == {"plan.csv", "plan.txt", "logs/plan.log"}
    assert said.strip() == (new_project.folder / "results/plan.txt").read_text().strip()
    assert "can be wrong by a factor of ten" in said
    [trained] = [row for row in rows if row["rule"] == "train"]
    assert trained["basis"] == "first guess"
    assert float(trained["hours"]) > 0
    assert max(map(len, said.splitlines())) <= 100


def test_finished_grid_has_nothing_left_to_plan(changeable):
    said, rows = plan(changeable)
    assert counts(rows) == {}
    assert counts(rows, "done")["train"] == 4
    assert " 0 are to do." in said
    # The plan is nothing that the grid depends on.
    assert changeable.planned() == {}


def test_added_configuration_costs_only_its_own_jobs_by_what_the_recorded_ones_took(changeable):
    def add(config):
        config["configs"]["more"] = config["configs"]["lora"] | {"epochs": 4}
        config["grid"][0]["configs"].append("more")

    changeable.edit_config(add)
    said, rows = plan(changeable)
    assert counts(rows) == changeable.planned()
    assert counts(rows)["train"] == 4
    [trained] = [row for row in rows if row["rule"] == "train"]
    assert (trained["jobs"], trained["done"], trained["basis"]) == ("8", "4", "recorded")
    manifests = [json.loads(path.read_text()) for path in changeable.files("adapters/*/*/*/*/manifest.json")]
    # Twice the epochs, the same examples, counted in the tokenised data.
    assert float(trained["tokens"]) == pytest.approx(2 * sum(manifest["tokens"] for manifest in manifests), rel=0.1)
    seconds = [json.loads(path.read_text())["s"] for path in changeable.files("benchmarks/adapters/*/*/*/*.jsonl")]
    assert sum(seconds) / 4 < float(trained["hours"]) * 3600 < sum(seconds) * 4
    assert float(trained["peak_mb"]) >= max(manifest["peak_memory_mb"] for manifest in manifests)
    assert "tokens of 2 data sets: counted" in said


def test_jobs_that_a_changed_setting_or_a_deleted_file_outdates_are_planned_again(changeable):
    changeable.edit_config(lambda config: config["configs"]["lora"].update(learning_rate=0.01))
    assert counts(plan(changeable)[1]) == changeable.planned()
    changeable.edit_config(lambda config: config["configs"]["lora"].update(learning_rate=0.02))
    changeable.files("predictions/echo/gold/tiny/base.jsonl")[0].unlink()
    rows = plan(changeable)[1]
    assert counts(rows) == changeable.planned()
    assert counts(rows)["predict"] == 1


def test_plan_is_of_the_configuration_on_the_command_line(changeable):
    (changeable.folder / "larger.yaml").write_text(yaml.safe_dump({"seeds": {2: {"adapter_init": 5, "data_order": 6, "mix": 1}}}))
    grid = yaml.safe_load((changeable.folder / "config/config.yaml").read_text())["grid"]
    grid[0]["seeds"] = [1, 2]
    arguments = ("--configfile", "larger.yaml", "--config", f"grid={json.dumps(grid)}")
    rows = plan(changeable, *arguments)[1]
    assert counts(rows) == changeable.planned(*arguments)
    # The other seed has the same mixes.
    assert {rule: counts(rows).get(rule) for rule in ("make_mix", "train")} == {"make_mix": None, "train": 4}
