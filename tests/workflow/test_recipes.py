"""The recipes of docs/architecture.md work as they are written."""

import json
import re
import textwrap

import pytest

from projects import REPOSITORY

LIBRARY = "workflow/scripts/loragrid"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()


def recipe(title: str) -> dict[str, str]:
    """The code of a recipe by the file that it goes to."""
    text = PAGE.partition(f"### {title}\n")[2].partition("\n### ")[0]
    blocks = re.findall(r"`([\w./]+\.py|[\w./]+\.smk|Snakefile)`[^\n]*:\n\n( *)```python\n(.*?)\n *```", text, re.S)
    return {
        name if name.startswith(("workflow/", "Snakefile")) else f"{LIBRARY}/{name}": textwrap.dedent(f"{code}\n")
        for name, _, code in blocks
    }


def apply(project, title, before=()):
    """Do what a recipe says: new files are written, others get its code at their end or before a line."""
    files = recipe(title)
    assert files
    places = dict(before)
    for name, code in files.items():
        path = project.folder / name
        old = path.read_text() if path.exists() else ""
        line = places.get(name)
        assert line is None or line in old
        path.write_text(old.replace(line, f"{code}\n{line}", 1) if line else f"{old}\n\n{code}".lstrip())


def test_scorer_is_one_file(changeable):
    apply(changeable, "Add a scorer")
    changeable.edit_config(lambda raw: raw["scorers"].update(v={"type": "vowels", "vowels": "ae"}))
    changeable.edit_config(lambda raw: raw["tasks"]["echo"]["scorers"].append("v"))
    changeable.snakemake()
    rows = [json.loads(row) for row in changeable.files("scores/echo/gold/tiny/base/v.jsonl")[0].read_text().splitlines()]
    assert {row["metric"] for row in rows} == {"vowels"}
    assert all(0 <= row["value"] <= 1 for row in rows)
    assert ",v,vowels," in (changeable.folder / "results/tables/scores.csv").read_text()


def test_engine_is_one_file(changeable):
    apply(changeable, "Add an engine")
    changeable.edit_config(lambda raw: raw["models"]["tiny"].update(engine={"type": "parrot", "letters": 3}))
    target = "results/predictions/echo/gold/tiny/base.jsonl"
    changeable.snakemake(target)
    rows = [json.loads(row) for row in (changeable.folder / target).read_text().splitlines()]
    assert all(row["prediction"] == row["prompt"][-3:] and row["engine"] == "parrot" for row in rows)


def test_training_method_is_one_class(changeable):
    apply(changeable, "Add a training method")
    changeable.edit_config(lambda raw: raw["configs"].update(norms={"method": "norms", "learning_rate": 0.1, "epochs": 1}))
    changeable.edit_config(lambda raw: raw["grid"][0].update(tasks=["echo"], nb_samples=[4], configs=["norms"]))
    changeable.snakemake("adapters")
    assert len(changeable.files("finetuned/echo/gold/tiny/*__norms__*/model.safetensors")) == 1


def test_stage_stands_in_seven_places(changeable):
    places = {f"{LIBRARY}/layout.py": "RULES: Mapping", "Snakefile": "onerror:"}
    apply(changeable, "Add a stage", places)
    target = "results/words/echo/gold/tiny/base.json"
    assert changeable.planned(target) == {"count_words": 1}
    changeable.snakemake(target)
    counts = json.loads((changeable.folder / target).read_text())
    assert sum(counts.values()) == 4
    # Another setting makes it outdated.
    changeable.edit_config(lambda raw: raw["tasks"]["echo"].update(max_new_tokens=5))
    assert changeable.planned(target)["count_words"] == 1


@pytest.mark.parametrize("title", filter(recipe, re.findall(r"^### (Add .*)$", PAGE, re.M)))
def test_every_recipe_with_code_is_followed_by_a_test(title):
    assert f'apply(changeable, "{title}"' in (REPOSITORY / "tests/workflow/test_recipes.py").read_text()
