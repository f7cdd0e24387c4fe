"""A config with ranges, from the plan of its trainings to the report that says which setting was chosen."""

import pandas as pd

SETTINGS = ["learning_rate0.02", "learning_rate0.05"]
OF_TASK = "adapters/echo/gold/tiny/echo__gold__target_only__n4__{}__completion__seed1/adapter_model.safetensors"


def sweep(config):
    """Sweep the learning rate of the runs of one task and size, and choose a setting."""
    [block] = config["grid"]
    config["configs"]["swept"] = config["configs"]["lora"] | {"learning_rate": [0.02, 0.05]}
    config["grid"].append(block | {"tasks": ["echo"], "nb_samples": [4], "configs": ["swept"]})
    config["selection"] = {"choose": "setting", "by": "validation_loss"}


def test_settings_of_a_sweep_are_trained_once_and_one_is_chosen(changeable):
    made = {path: path.stat().st_mtime_ns for path in changeable.files("adapters/**/*") if path.is_file()}
    assert made
    changeable.edit_config(sweep)
    assert changeable.planned()["train"] == 2
    changeable.snakemake()
    swept = {name: changeable.folder / "results" / OF_TASK.format(f"swept-{name}") for name in SETTINGS}
    assert all(path.stat().st_size for path in swept.values())
    # The first setting is what the config without ranges is.
    assert swept[SETTINGS[0]].read_bytes() == (changeable.folder / "results" / OF_TASK.format("lora")).read_bytes()
    assert {path for path, time in made.items() if path.stat().st_mtime_ns != time} == set()

    table = pd.read_csv(changeable.folder / "results/tables/selection.csv")
    losses = {name: pd.read_csv(path.with_name("loss.csv"))["validation_loss"].dropna().iloc[-1] for name, path in swept.items()}
    assert set(table["config"]) == {"swept"}
    assert set(table["ways"]) == {2}
    assert set(table["chosen"]) == {f"setting=swept-{min(losses, key=losses.get)}"}
    page = (changeable.folder / "results/report.html").read_text()
    assert "Configs that are compared had unequal numbers of settings." in page
    assert "lora: 1, swept: 2" in page
    said = changeable.snakemake("plan", "verify").stdout
    assert " 0 are to do." in said
    assert "files are whole" in said

    # Another value, and another order, train what is new.
    changeable.edit_config(lambda config: config["configs"]["swept"].update(learning_rate=[0.05, 0.1, 0.02]))
    assert changeable.planned()["train"] == 1
    # How a setting is computed is taken from its config as written; results do not depend on it.
    changeable.edit_config(lambda config: config["configs"]["swept"].update(kernels="none", learning_rate=[0.02, 0.05]))
    assert changeable.planned().get("train", 0) == 0


def test_block_that_names_one_setting_trains_it_alone(changeable):
    changeable.edit_config(sweep)
    changeable.edit_config(lambda config: config["grid"][1].update(configs=["swept-learning_rate0.05"]))
    changeable.edit_config(lambda config: config.pop("selection"))
    assert changeable.planned()["train"] == 1
    changeable.edit_config(lambda config: config["grid"][1].update(configs=["swept-learning_rate0.5"]))
    result = changeable.snakemake("-n", check=False)
    assert result.returncode
    assert "unknown config 'swept-learning_rate0.5'; did you mean 'swept-learning_rate0.05'?" in result.stdout + result.stderr
