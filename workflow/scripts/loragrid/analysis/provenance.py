"""How results came about: what was checked, which test examples are in mixes, and which hardware was used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from loragrid.data.decontamination import LEAKY_PARTS, read_leaks, validation_set
from loragrid.data.questions import asked
from loragrid.layout import MANIFEST, SELECT_DEMONSTRATIONS, Dataset, mix_name, model_of_check
from loragrid.records import Example, iterate_records
from loragrid.runtime.manifests import read_json


def read_checks(paths: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The outcome of each model's generation check."""
    models = []
    for path in map(Path, paths):
        base_model, run = model_of_check(path)
        checks = read_json(path, ["checks"])["checks"]
        outcome = {name: check["passed"] for name, check in checks.items()}
        models.append({"base_model": base_model, "run": run, "checks": outcome})
    return models


def leaking_mixes(leaks: Sequence[str | Path], mixes: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Mixes that hold examples of a test set, or that train on examples of a validation set by which ways are chosen.

    That happens only if a mix was made before the test set came into the grid, or by a version that did not find them.

    Args:
        leaks: for each data set, the file that lists which of its examples are in a test set.
        mixes: training and validation parts of the mixes.
    """
    found = [read_leaks(path) for path in leaks]
    # A training example may be in a validation set by which ways are chosen, and a validation example is.
    by_question = {part: {id_: names for of in found for id_, names in of[part].by_question.items()} for part in LEAKY_PARTS}
    by_output = {part: {id_: names for of in found for id_, names in of[part].by_output.items()} for part in LEAKY_PARTS}
    leaking = []
    for path in mixes:
        part = Path(path).stem
        in_tests = by_question[part] | (by_output[part] if _is_cleaned_by_output(Path(path)) else {})
        tests = [test for example in iterate_records(path, Example) for test in in_tests.get(example.id, ())]
        if tests:
            leaking.append({"mix": str(path), "tests": [f"{name} ({tests.count(name)})" for name in sorted(set(tests))]})
    return leaking


def _is_cleaned_by_output(part: Path) -> bool:
    """Whether examples are left out of the mix with this part because of their output."""
    manifest = part.with_name(MANIFEST)
    recipe = read_json(manifest, ["recipe"])["recipe"] if manifest.exists() else {}
    return bool(recipe.get("leaks_by_output"))


def leaking_prompts(leaks: Sequence[str | Path], demonstrations: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Demonstrations that the prompts of a test set show although it holds them. Earlier versions chose such demonstrations.

    Args:
        leaks: for each data set, the file that lists which of its examples are in a test set.
        demonstrations: for each data set and prompting, the file that says what its prompts show.
    """
    held_by = {Dataset.of(path): read_leaks(path)["train"].by_question for path in leaks}
    leaking = []
    for path in demonstrations:
        dataset, shown = Dataset.of(path), read_json(path)
        asked = SELECT_DEMONSTRATIONS.wildcards("demonstrations", path) or {}
        name = validation_set(dataset) if asked.get("of_split") else dataset.name
        held = {id_ for id_, names in held_by.get(dataset, {}).items() if name in names}
        prompts = sum(bool(held.intersection(ids)) for ids in shown.values())
        if prompts:
            leaking.append({"file": str(path), "prompts": prompts, "of": len(shown)})
    return leaking


def common_questions(mixes: Sequence[str | Path]) -> list[float]:
    """The share of questions that two mixes have in common, for each two that differ only in their sample type.

    Args:
        mixes: training parts of the mixes.
    """
    alike: dict[tuple[str, ...], list[set[str]]] = {}
    for path in mixes:
        task, _, mix, draw = mix_name(path).split("/")
        alike.setdefault((task, mix, draw), []).append({asked(example) for example in iterate_records(path, Example)})
    pairs = [pair for of_types in alike.values() for pair in combinations(of_types, 2)]
    return [len(own & other) / max(len(own), len(other), 1) for own, other in pairs]


def missing_answers(manifests: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The predictions made elsewhere that lack answers to test examples, which count as empty: origin, data set and counts."""
    found = []
    for path in manifests:
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        axes = manifest.get("axes", {})
        # Only manifests of external predictions have these keys together.
        if missing := manifest.get("missing") if "match" in manifest else None:
            found.append({**{key: axes.get(key) for key in ("task", "sample_type", "run")}, "missing": len(missing)})
            found[-1]["examples"] = manifest["examples"]
    return found


def circumstances_of(manifests: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The different combinations of commit, hardware and versions in the manifests, with how many files each made.

    Manifests of external predictions do not say where the predictions were made; they are left out.
    """
    counts: dict[str, int] = {}
    for path in manifests:
        manifest = read_json(path)
        if "hardware" not in manifest:
            continue
        circumstances = {key: manifest[key] for key in ("git_commit", "hardware", "versions")}
        text = json.dumps(circumstances, sort_keys=True)
        counts[text] = counts.get(text, 0) + 1
    return [json.loads(text) | {"files": count} for text, count in counts.items()]
