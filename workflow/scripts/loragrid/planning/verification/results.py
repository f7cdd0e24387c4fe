"""What each finished file is compared with: its manifest, and the files that it was made from."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from loragrid.data.decontamination import read_leaks
from loragrid.data.splitting import SPLITS, subset
from loragrid.data.wholeness import refuse_other_answers, refuse_other_examples, refuse_other_scores
from loragrid.errors import DamagedError
from loragrid.grid.jobs import settings
from loragrid.grid.jobs.lookups import Wildcards, tasks_of_mix
from loragrid.grid.runs import Grid
from loragrid.layout import BASELINE, MANIFEST, PREDICT, PREDICT_BASELINE, PREPARE_DATASET, TEST, Dataset, Evaluation
from loragrid.planning.verification.contents import refuse_unreadable
from loragrid.records import Example, Export, Likelihood, Prediction, Score, content_hash, read_records
from loragrid.runtime.manifests import DECLARED, read_json, refuse_other_content, stated_about, stated_hashes
from loragrid.text.words import some_of

Check = Callable[[Grid, Wildcards, Path], bool]
"""Compares a file with what belongs to it. True if there was a hash of its content. Raises a DamagedError."""


@lru_cache(maxsize=4)
def examples_of(path: Path) -> dict[str, Example]:
    """The examples of a part of a data set, by id."""
    return {example.id: example for example in read_records(path, Example)}


def part_of(dataset: Dataset, part: str) -> Path:
    """The file of a part of a data set."""
    return Path(PREPARE_DATASET.path(part, dataset.wildcards))


def has_hash(path: Path) -> bool:
    """Whether the manifest beside a file of rows, which were compared with it when they were read, has its hash."""
    stated = stated_about(path)
    return bool(stated and stated.sha256)


def data_set(grid: Grid, job: Wildcards, path: Path) -> bool:
    """A part of a data set holds examples of this data set."""
    own = (job["task"], job["sample_type"])
    if foreign := [id_ for id_, one in examples_of(path).items() if (one.task, one.sample_type) != own]:
        raise DamagedError(path, f"examples of another data set: {some_of(foreign)}")
    # An id is the hash of what an example says. So data sets of earlier versions are compared with hashes too.
    if changed := [id_ for id_, one in examples_of(path).items() if id_ not in _ids(one)]:
        raise DamagedError(path, f"examples whose text is another than when they got their id: {some_of(changed)}")
    return True


def _ids(example: Example) -> set[str]:
    """The id that an example has by its text. An output that is empty may have been none."""
    outputs = [example.output] if isinstance(example.output, str) else example.output
    asked = (example.task, example.sample_type, *example.asked)
    return {content_hash(*asked, *outputs), *([] if any(outputs) else [content_hash(*asked)])}


def leaks(grid: Grid, job: Wildcards, path: Path) -> bool:
    """The list of what test sets hold too."""
    read_leaks(path)
    return False


def mix(grid: Grid, job: Wildcards, path: Path) -> bool:
    """A mix holds examples of its data sets, as they are there."""
    mixed = read_records(path, Example)
    parts = [part_of(Dataset(task, job["sample_type"]), path.stem) for task in tasks_of_mix(grid.config, job["task"], job["mix"])]
    if all(part.exists() for part in parts):
        refuse_other_examples(path, mixed, {id_: one for part in parts for id_, one in examples_of(part).items()})
    return has_hash(path)


def tokens(grid: Grid, job: Wildcards, path: Path) -> bool:
    """Tokens are those of the examples of the data set, prompt by prompt."""
    import pyarrow.parquet as pq

    refuse_unreadable(path)
    parts = {split: part_of(Dataset(job["task"], job["sample_type"]), split) for split in SPLITS}
    if all(part.exists() for part in parts.values()):
        expected = [
            (example.id, split)
            for split, part in parts.items()
            for example in examples_of(part).values()
            for _ in (example.parts if example.answers != "joined" else ())
        ]
        found = pq.read_table(path, columns=["id", "split"])
        if list(zip(found["id"].to_pylist(), found["split"].to_pylist(), strict=True)) != expected:
            raise DamagedError(path, f"expected the {len(expected)} prompts of its data set, found {found.num_rows} or others")
    return False


def file_of_model(grid: Grid, job: Wildcards, path: Path) -> bool:
    """A file in a model's folder has the hash that the manifest says."""
    refuse_unreadable(path)
    manifest = path.with_name(MANIFEST)
    stated = stated_hashes(manifest).get(path.name) if manifest.exists() else None
    if stated:
        refuse_other_content(path, stated, manifest)
    return bool(stated)


def other_files_of_model(grid: Grid, job: Wildcards, path: Path) -> bool:
    """The manifest of a model, and the files that it lists and no rule names."""
    for name, stated in stated_hashes(path).items():
        if name in DECLARED:
            continue
        if not (path.parent / name).exists():
            raise DamagedError(path, f"it lists {name}, which is not there")
        refuse_other_content(path.parent / name, stated, path)
    return False


def adapter(grid: Grid, job: Wildcards, path: Path) -> bool:
    """An adapter has the weights of the modules that its settings name, and no others."""
    from safetensors import safe_open

    is_hashed = file_of_model(grid, job, path)
    config = path.with_name("adapter_config.json")
    told = read_json(config, ["peft_type"]) if config.exists() else {}
    modules = told.get("target_modules")
    if told.get("peft_type") == "LORA" and isinstance(modules, list):
        with safe_open(path, "pt") as file:
            names: list[str] = list(file.keys())
        lost = [module for module in modules if not any(f".{module}." in f".{name}." for name in names)]
        if lost and not told.get("target_parameters"):
            raise DamagedError(path, f"it has no weights for modules that {config.name} names: {some_of(sorted(lost))}")
    return is_hashed


def loss_curve(grid: Grid, job: Wildcards, path: Path) -> bool:
    """A loss curve goes from step 0 to the last step that the manifest says."""
    is_hashed, manifest = file_of_model(grid, job, path), path.with_name(MANIFEST)
    with open(path, encoding="utf-8", newline="") as file:
        steps = [row["step"] for row in csv.DictReader(file)]
    last = read_json(manifest).get("steps") if manifest.exists() else None
    if steps != [str(step) for step in range(len(steps))] or (last is not None and len(steps) != last + 1):
        raise DamagedError(path, f"expected a row for each step from 0 to {last}, found {len(steps)} rows")
    return is_hashed


def demonstrations(grid: Grid, job: Wildcards, path: Path) -> bool:
    """What prompts show are training examples, for test or validation examples."""
    chosen, dataset = read_json(path), Dataset(job["task"], job["sample_type"])
    for part, ids in (
        (job["of_split"].removeprefix("~") or TEST, set(chosen)),
        ("train", {id_ for of_test in chosen.values() for id_ in of_test}),
    ):
        if (known := part_of(dataset, part)).exists() and (foreign := ids - examples_of(known).keys()):
            raise DamagedError(path, f"it names examples that {known} does not have: {some_of(sorted(foreign))}")
    return False


def predictions(grid: Grid, job: Wildcards, path: Path) -> bool:
    """Predictions answer the split of the data set that they name, or the subset of it that they should."""
    rows, own = read_records(path, Prediction), Evaluation.of_predictions(path)
    for row in rows:
        asked = (row.prompting, row.prompt_variant, row.decoding, row.split)
        found = Evaluation(row.base_model, row.task, row.sample_type, row.run, *asked)
        if found != own:
            raise DamagedError(path, f"the row of example {row.id} belongs to {found.place}")
    if (test := Path(own.asked_file)).exists():
        examples = [*examples_of(test).values()]
        refuse_other_answers(path, [row.answered for row in rows], test, examples)
        # Others are counted by their manifest.
        expected = len(subset(examples, grid.config.tasks[own.task].subset))
        if own.base_model == BASELINE and len(rows) != expected:
            raise DamagedError(path, f"it has {len(rows)} rows, but {expected} test examples are asked")
    return has_hash(path)


def scores(grid: Grid, job: Wildcards, path: Path) -> bool:
    """Scores are about their predictions, each once in each metric."""
    rows, evaluation = read_records(path, Score), Evaluation.of_scores(path)
    files = PREDICT_BASELINE if evaluation.base_model == BASELINE else PREDICT
    predicted = Path(files.path("predictions", evaluation.wildcards))
    if foreign := {row.scorer for row in rows} - {job["scorer"]}:
        raise DamagedError(path, f"rows of other scorers: {some_of(sorted(foreign))}")
    if predicted.exists():
        scorer = grid.config.scorers[job["scorer"]]
        metrics = () if scorer.may_leave_out else settings.score(grid, job, 1).metrics
        answered = [row.answered for row in read_records(predicted, Prediction)]
        scored = [(row.metric, row.answered) for row in rows]
        refuse_other_scores(path, scored, predicted, answered, scorer.may_leave_out, metrics)
    return False


def likelihoods(grid: Grid, job: Wildcards, path: Path) -> bool:
    """Each token of a text has a probability."""
    for row in read_records(path, Likelihood):
        if len(row.logprobs) != len(row.token_ids):
            raise DamagedError(path, f"example {row.id}: {len(row.logprobs)} probabilities of {len(row.token_ids)} tokens")
    return has_hash(path)


def exported(grid: Grid, job: Wildcards, path: Path) -> bool:
    """Predictions beside their test examples."""
    read_records(path, Export)
    return False


def exported_log(grid: Grid, job: Wildcards, path: Path) -> bool:
    """An archive whose files are as they were written."""
    try:
        with ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise DamagedError(path, f"{damaged} in it is not as it was written")
    except (BadZipFile, zlib.error) as error:
        raise DamagedError(path, f"not an archive as it was written ({error})") from None
    return False


def readable(grid: Grid, job: Wildcards, path: Path) -> bool:
    """Any other file: it can be read."""
    refuse_unreadable(path)
    return False


CHECKS: Mapping[tuple[str, str], Check] = {
    **{("prepare_dataset", split): data_set for split in SPLITS},
    ("decontaminate", "leaks"): leaks,
    **{("make_mix", part): mix for part in ("train", "validation")},
    ("tokenise", "tokens"): tokens,
    **{("import_model", output): file_of_model for output in ("config", "model", "tokenizer", "tokenizer_config")},
    **{(rule, "manifest"): other_files_of_model for rule in ("import_model", "train", "train_full")},
    ("train", "adapter"): adapter,
    ("train_full", "adapter"): file_of_model,
    **{(rule, "adapter_config"): file_of_model for rule in ("train", "train_full")},
    **{(rule, "losses"): loss_curve for rule in ("train", "train_full")},
    ("select_demonstrations", "demonstrations"): demonstrations,
    **{(rule, "predictions"): predictions for rule in ("predict", "import_predictions", "predict_baseline")},
    ("measure_likelihoods", "likelihoods"): likelihoods,
    ("score", "scores"): scores,
    ("export", "jsonl"): exported,
    ("export_log", "log"): exported_log,
}
"""How an output of a rule is checked; any other output is only read."""
