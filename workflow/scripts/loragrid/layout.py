"""The names of result files. Every path, pattern and run name is built and parsed here and nowhere else.

Paths are relative to the working directory. A pattern is a path with `{wildcards}`, as in Snakemake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

RESULTS = "results"

NAME = r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
"""The form of a name in the configuration. A name never contains two underscores: they separate the parts of a run's name."""

EXTERNAL = "external"
"""Takes the place of a base model's name, for external predictions that name no base model."""

BASELINE = "baseline"
"""Takes the place of a base model's name, for trivial baselines."""

BASE = "base"
"""Takes the place of a run's name, for the untrained base model."""

USUAL = ("zero_shot", "default", "greedy")
"""Prompting, prompt variant and decoding where nothing else is said."""

TEST, VALIDATION = "test", "validation"
"""The splits of a data set that models are asked about: to report on, and to choose by (`selection`)."""

TRAINED_RUN = rf"{NAME}(?:__{NAME})+"
RUN_OR_BASE = rf"{BASE}|{TRAINED_RUN}"
CONSTRAINTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("task", "sample_type", "base_model", "mix", "scorer", "prompting", "evaluation", "annotator"),
        NAME,
    ),
    "experiment": NAME,
    "nb_samples": r"\d+",
    "mix_seed": r"\d+",
    "run": rf"{NAME}(?:__{NAME})*",
    "variant": rf"(?:~{NAME}~{NAME}(?:~{NAME}(?:~{VALIDATION})?)?)?",
    "of_split": rf"(?:~{VALIDATION})?",
    "package": r"[^/]+==[^/]+",
    "kind": r"whl|tar\.gz",
}
"""Regular expressions of the values that wildcards take."""


class Run(NamedTuple):
    """One trained model. `task` and `sample_type` say what it is trained on."""

    base_model: str
    task: str
    sample_type: str
    mix: str
    nb_samples: int
    config: str
    loss_computation: str
    seed: int

    @property
    def name(self) -> str:
        """The run's name, unique within its base model."""
        return (
            f"{self.task}__{self.sample_type}__{self.mix}__n{self.nb_samples}"
            f"__{self.config}__{self.loss_computation}__seed{self.seed}"
        )

    @classmethod
    def parse(cls, name: str, base_model: str = "") -> Self | None:
        """The run that has a name; None for names of other things, such as `BASE` or external predictions."""
        match = _RUN.fullmatch(name)
        if match is None:
            return None
        task, sample_type, mix, nb_samples, config, loss_computation, seed = match.groups()
        return cls(base_model, task, sample_type, mix, int(nb_samples), config, loss_computation, int(seed))

    @property
    def wildcards(self) -> dict[str, str]:
        """The wildcards of files that are about the run on its own data set."""
        return {"base_model": self.base_model, "task": self.task, "sample_type": self.sample_type, "run": self.name}


# Numbers as they are written: without leading zeros.
_NUMBER = r"(0|[1-9]\d*)"
_RUN = re.compile("__".join((rf"({NAME})",) * 3 + (f"n{_NUMBER}",) + (rf"({NAME})",) * 2 + (f"seed{_NUMBER}",)))


class Dataset(NamedTuple):
    """A task in one sample type."""

    task: str
    sample_type: str

    @property
    def wildcards(self) -> dict[str, str]:
        """The wildcards of the data set's files."""
        return self._asdict()

    @classmethod
    def of(cls, path: str | Path) -> Self:
        """The data set that a file below `results/datasets` belongs to."""
        return cls(*Path(path).parts[-3:-1])

    @property
    def name(self) -> str:
        """As it stands in tables and sentences."""
        return f"{self.task}/{self.sample_type}"


class Evaluation(NamedTuple):
    """One set of predictions: by a run, a base model or somebody else, on one data set, asked in one way."""

    base_model: str
    task: str
    sample_type: str
    run: str
    """Name of the run or of the external predictions, or `BASE`."""
    prompting: str = USUAL[0]
    prompt: str = USUAL[1]
    decoding: str = USUAL[2]
    split: str = TEST
    """Which part of the data set is asked: `TEST` or `VALIDATION`."""

    @property
    def dataset(self) -> Dataset:
        """The data set that the evaluation uses."""
        return Dataset(self.task, self.sample_type)

    @property
    def variant(self) -> str:
        """What follows the run's name, unless it is asked about tests in the usual way: zero shot, default prompt, greedily."""
        asked = [self.prompting, self.prompt, *([] if self.decoding == USUAL[2] and self.split == TEST else [self.decoding])]
        asked += [] if self.split == TEST else [self.split]
        return "" if tuple(asked) == USUAL[:2] else "".join(f"~{part}" for part in asked)

    @property
    def of_split(self) -> str:
        """What follows the name of its prompting in the name of its demonstrations."""
        return "" if self.split == TEST else f"~{self.split}"

    @property
    def asked_file(self) -> str:
        """The file with the examples that it asks."""
        return PREPARE_DATASET.path(self.split, self.dataset.wildcards)

    @property
    def place(self) -> str:
        """Where its predictions stand below `results/predictions`, without an ending."""
        return f"{self.task}/{self.sample_type}/{self.base_model}/{self.run}{self.variant}"

    @property
    def wildcards(self) -> dict[str, str]:
        """The wildcards of its predictions, with the parts of the variant beside it."""
        return self._asdict() | {"variant": self.variant, "of_split": self.of_split}

    @classmethod
    def from_wildcards(cls, wildcards: Mapping[str, str]) -> Self:
        """The evaluation that the wildcards of predictions or scores name."""
        run, *asked = f"{wildcards['run']}{wildcards.get('variant', '')}".split("~")
        return cls(wildcards["base_model"], wildcards["task"], wildcards["sample_type"], run, *asked)

    @classmethod
    def of_place(cls, place: str) -> Self:
        """The inverse of `place`."""
        task, sample_type, base_model, run = place.split("/")
        return cls.from_wildcards({"base_model": base_model, "task": task, "sample_type": sample_type, "run": run})

    @classmethod
    def of_scores(cls, path: str | Path) -> Self:
        """The evaluation whose scores a file holds."""
        return cls.of_place("/".join(Path(path).parts[-5:-1]))

    @classmethod
    def of_predictions(cls, path: str | Path) -> Self:
        """The evaluation whose predictions a file holds."""
        *folders, name = Path(path).parts[-4:]
        return cls.of_place("/".join([*folders, name.removesuffix(".jsonl")]))


class Files(NamedTuple):
    """The files that a job of a rule leaves: patterns of its outputs by name, of its log and of its benchmark."""

    outputs: Mapping[str, str]
    log: str
    benchmark: str
    is_own: bool = False
    """Whether each named experiment has such files of its own. Other files are shared by all experiments."""

    def of_experiment(self, name: str | None) -> Self:
        """The files of the same rule in an experiment; None: one without a name."""
        if name is None or not self.is_own:
            return self
        outputs = {output: of_experiment(path, name) for output, path in self.outputs.items()}
        return self._replace(
            outputs=outputs, log=of_experiment(self.log, name), benchmark=of_experiment(self.benchmark, name), is_own=False
        )

    def path(self, output: str, wildcards: Mapping[str, object]) -> str:
        """An output's path, for the job that the wildcards name."""
        return self.outputs[output].format_map(wildcards)

    def wildcards(self, output: str, path: str | Path) -> dict[str, str] | None:
        """The wildcards of the job that made a file as this output, in any experiment; None if the file is no such output."""
        match = _regular_expression(self.outputs[output], self.is_own).fullmatch(Path(path).as_posix())
        return match.groupdict() if match else None

    def find(self, output: str, **wildcards: str) -> Iterator[Path]:
        """The existing files of this output, from all jobs with these wildcards."""
        pattern = re.sub(r"\{(\w+)\}", lambda name: wildcards.get(name[1], name[0]), self.outputs[output])
        # Two stars would stand for any number of folders.
        return Path().glob(re.sub(r"(?:\{\w+\})+", "*", pattern))

    def below(self, folder: str | Path) -> dict[str, Path]:
        """The outputs of a rule without wildcards, in another folder than `results`."""
        return {output: Path(folder, Path(path).relative_to(RESULTS)) for output, path in self.outputs.items()}

    def named(self, paths: Iterable[str | Path]) -> dict[str, Path]:
        """The files of one job by their outputs."""
        return {output: Path(path) for path in paths for output in self.outputs if self.wildcards(output, path) is not None}


@cache
def _regular_expression(pattern: str, of_any_experiment: bool) -> re.Pattern[str]:
    """The wildcards by which a pattern matches a path. A storage puts the folder of its local copies in front of a path."""
    seen: set[str] = set()

    def group(part: re.Match[str]) -> str:
        name = part[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{CONSTRAINTS[name]})"

    parts = re.split(r"(\{\w+\})", pattern.removeprefix(f"{RESULTS}/"))
    return re.compile(
        f"(?:.*/)?{RESULTS}/"
        + (rf"(?:{_EXPERIMENTS}/{NAME}/)?" if of_any_experiment else "")
        + "".join(re.sub(r"\{(\w+)\}", group, part) if part[:1] == "{" else re.escape(part) for part in parts)
    )


BENCHMARKS, LOGS = f"{RESULTS}/benchmarks", f"{RESULTS}/logs"
"""Folders of what every job leaves beside its outputs."""


_EXPERIMENTS = "experiments"


def of_experiment(path: str, name: str | None) -> str:
    """Where a named experiment has a file, or a pattern of files, of its own; None: where one without a name has it.

    Results, logs and benchmarks are each in a folder of the experiment's name.
    """
    if name is None:
        return path
    top = next((folder for folder in (LOGS, BENCHMARKS) if path.startswith(f"{folder}/")), RESULTS)
    return f"{top}/{_EXPERIMENTS}/{name}{path.removeprefix(top)}"


def experiment_of(path: str | Path) -> str | None:
    """The name of the experiment that a file belongs to; None if it is shared, or of an experiment without a name."""
    match = re.match(rf"{RESULTS}/(?:logs/|benchmarks/)?{_EXPERIMENTS}/({NAME})/", Path(path).as_posix())
    return match and match[1]


def _files(job: str, **outputs: str) -> Files:
    """The files of a rule. The pattern `job` tells its jobs apart; outputs are given below `results`."""
    return Files(
        {name: f"{RESULTS}/{path}" for name, path in outputs.items()},
        f"{LOGS}/{job}.log",
        f"{BENCHMARKS}/{job}.jsonl",
    )


def _own_files(job: str, **outputs: str) -> Files:
    """The files of a rule of which each named experiment has its own."""
    return _files(job, **outputs)._replace(is_own=True)


def _in_folder(folder: str, **files: str) -> dict[str, str]:
    return {name: f"{folder}/{file}" for name, file in files.items()}


_TRAINED = "{task}/{sample_type}/{base_model}/{run}"
_MIX = "mixes/{task}/{sample_type}/{mix}/n{nb_samples}-seed{mix_seed}"
_OUTCOME = {"losses": "loss.csv", "manifest": "manifest.json"}

FETCH_PACKAGE = _files("packages/{package}.{kind}", package="packages/{package}.{kind}")
IMPORT_MODEL = _files(
    "models/{base_model}",
    **_in_folder(
        "models/{base_model}",
        config="config.json",
        model="model.safetensors",
        tokenizer="tokenizer.json",
        tokenizer_config="tokenizer_config.json",
        manifest="manifest.json",
    ),
)
PREPARE_DATASET = _files(
    "datasets/{task}/{sample_type}",
    **_in_folder(
        "datasets/{task}/{sample_type}",
        train="train.jsonl",
        validation="validation.jsonl",
        test="test.jsonl",
        manifest="manifest.json",
    ),
)
DECONTAMINATE = _own_files("leaks/{task}/{sample_type}", leaks="datasets/{task}/{sample_type}/leaks.json")
MAKE_MIX = _files(_MIX, **_in_folder(_MIX, train="train.jsonl", validation="validation.jsonl", manifest="manifest.json"))
TOKENISE = _files("tokens/{base_model}/{task}/{sample_type}", tokens="tokens/{base_model}/{task}/{sample_type}.parquet")
TRAIN = _files(
    f"adapters/{_TRAINED}",
    **_in_folder(f"adapters/{_TRAINED}", adapter="adapter_model.safetensors", adapter_config="adapter_config.json", **_OUTCOME),
)
TRAIN_FULL = TRAIN._replace(
    outputs={
        name: f"{RESULTS}/{path}"
        for name, path in _in_folder(
            f"finetuned/{_TRAINED}", adapter="model.safetensors", adapter_config="config.json", **_OUTCOME
        ).items()
    }
)
SELECT_DEMONSTRATIONS = _files(
    "demonstrations/{task}/{sample_type}/{prompting}{of_split}",
    demonstrations="demonstrations/{task}/{sample_type}/{prompting}{of_split}.json",
)
PREDICT = _files(
    f"predictions/{_TRAINED}{{variant}}",
    predictions=f"predictions/{_TRAINED}{{variant}}.jsonl",
    manifest=f"predictions/{_TRAINED}{{variant}}.manifest.json",
)
IMPORT_PREDICTIONS = _files(
    f"predictions/{_TRAINED}", predictions=f"predictions/{_TRAINED}.jsonl", manifest=f"predictions/{_TRAINED}.manifest.json"
)
MEASURE_LIKELIHOODS = _files(
    f"likelihoods/{_TRAINED}{{variant}}",
    likelihoods=f"likelihoods/{_TRAINED}{{variant}}.jsonl",
    manifest=f"likelihoods/{_TRAINED}{{variant}}.manifest.json",
)
PREDICT_BASELINE = _files(
    f"predictions/{{task}}/{{sample_type}}/{BASELINE}/{{run}}",
    predictions=f"predictions/{{task}}/{{sample_type}}/{BASELINE}/{{run}}.jsonl",
)
CHECK = _files("checks/{base_model}/{run}", check="checks/{base_model}/{run}.json")
CHECK_MERGED = _files("checks/{base_model}/merged/{run}", check="checks/{base_model}/merged/{run}.json")
PROBE = _files("probes/{base_model}/{run}", probe="probes/{base_model}/{run}.json")
FAILED_CHECK = f"{RESULTS}/checks/{{base_model}}/{{run}}.failed.json"
"""The evidence of a check that failed."""
FAILED_CHECK_MERGED = f"{RESULTS}/checks/{{base_model}}/merged/{{run}}.failed.json"
"""The same of a check of a merged model."""
SCORE = _files(f"scores/{_TRAINED}{{variant}}/{{scorer}}", scores=f"scores/{_TRAINED}{{variant}}/{{scorer}}.jsonl")
DESCRIBE_MODEL = _files(f"cards/{_TRAINED}", card=f"adapters/{_TRAINED}/README.md")
DESCRIBE_FULL_MODEL = DESCRIBE_MODEL._replace(outputs={"card": f"{RESULTS}/finetuned/{_TRAINED}/README.md"})
SHOW_PROMPT = _files(
    "prompts/{task}/{sample_type}/{base_model}{variant}", prompt="prompts/{task}/{sample_type}/{base_model}{variant}.txt"
)
EXPORT = _files(
    f"exports/{_TRAINED}{{variant}}",
    jsonl=f"exports/{_TRAINED}{{variant}}.jsonl",
    csv=f"exports/{_TRAINED}{{variant}}.csv",
)
EXPORT_LOG = _files(f"export_logs/{_TRAINED}{{variant}}", log=f"exports/{_TRAINED}{{variant}}.eval")
HUMAN_SHEET = _own_files(
    "human_sheets/{evaluation}/{annotator}",
    csv="human_sheets/{evaluation}/{annotator}.csv",
    xlsx="human_sheets/{evaluation}/{annotator}.xlsx",
)
MERGE = _files(
    f"merged/{_TRAINED}",
    **_in_folder(f"merged/{_TRAINED}", model="model.safetensors", config="config.json", card="README.md"),
)
PUSH = _own_files(f"pushed/{_TRAINED}", receipt=f"pushed/{_TRAINED}.json")

FIGURES: Mapping[str, Sequence[str]] = {
    "analyse": (
        "learning_curves",
        "learning_curves_symlog",
        "contrast_intervals",
        "transfer_scores",
        "transfer_differences",
        "scorer_correlations",
        "scorer_correlations_resampled",
        "scorer_correlations_by_policy",
        "score_distributions",
        "scores_over_seeds",
        "loss_curves",
        "cost_quality",
        "run_times",
        "tokens",
        "judge_length",
    ),
    "describe_data": ("text_lengths",),
}
"""The figures that a rule makes, in the order of the report. The output of a figure's name is its SVG file."""

FIGURE_FILES = {"": "svg", "_png": "png", "_pdf": "pdf", "_csv": "csv", "_json": "json"}
"""What follows a figure's name in the names of its outputs, and the ending of that file."""


def _figures(rule: str) -> dict[str, str]:
    return {
        f"{figure}{output}": f"figures/{figure}.{ending}" for figure in FIGURES[rule] for output, ending in FIGURE_FILES.items()
    }


ANALYSE = _own_files(
    "analyse",
    **_in_folder(
        "tables",
        scores="scores.csv",
        scores_parquet="scores.parquet",
        comparisons="comparisons.csv",
        comparisons_parquet="comparisons.parquet",
        groups="groups.csv",
        groups_parquet="groups.parquet",
        selection="selection.csv",
        selection_parquet="selection.parquet",
        transfer="transfer.csv",
        transfer_parquet="transfer.parquet",
        ways="ways.csv",
        ways_parquet="ways.parquet",
        contrasts="contrasts.csv",
        contrasts_parquet="contrasts.parquet",
        ranks="ranks.csv",
        ranks_parquet="ranks.parquet",
        slices="slices.csv",
        slices_parquet="slices.parquet",
        forgetting="forgetting.csv",
        forgetting_parquet="forgetting.parquet",
        predictions="predictions.parquet",
        losses="losses.csv",
        losses_parquet="losses.parquet",
        training_costs="training_costs.csv",
        prediction_costs="prediction_costs.csv",
        agreement="agreement.csv",
        scoring_costs="scoring_costs.csv",
        scorers="scorers.csv",
        scorers_parquet="scorers.parquet",
        equal_length="equal_length.csv",
        equal_length_parquet="equal_length.parquet",
        judge_agreement="judge_agreement.csv",
        judge_agreement_parquet="judge_agreement.parquet",
        judge_corrected="judge_corrected.csv",
        judge_corrected_parquet="judge_corrected.parquet",
        main="main.csv",
        main_md="main.md",
        main_tex="main.tex",
        wide="wide.csv",
        wide_ways="wide_ways.csv",
    ),
    **_figures("analyse"),
)
DESCRIBE_DATA = _own_files(
    "describe_data",
    **_in_folder("tables", data_sets="data_sets.csv", mixes="mixes.csv", lengths="lengths.csv"),
    **_figures("describe_data"),
)
ANSWERS_FOLDER = "report_answers"
"""Where answers lie beside a report that does not hold them itself."""
CUT_OFFS = _own_files("cut_offs", **_in_folder("tables", references="cut_offs.csv", summary="cut_offs_by_set.csv"))
LEARNT_PROMPTS = _own_files("learnt_prompts", prompts="tables/learnt_prompts.csv")
TRACK = _own_files("track", receipt="tracked.json")
REPORT = _own_files("report", report="report.html")
REPORT_ANSWERS = _own_files("report", answers=f"{ANSWERS_FOLDER}/{{task}}.js")
"""Further files of the rule `report`, if the configuration asks for them."""

# Rules that always run write these files, and declare none.
PARTIAL_REPORT = _own_files("partial_report")._replace(
    outputs={
        output: path.as_posix()
        for files in (ANALYSE, DESCRIBE_DATA, REPORT)
        for output, path in files.below(f"{RESULTS}/partial").items()
    }
)
PARTIAL_REPORT_ANSWERS = _own_files("partial_report", answers=f"partial/{ANSWERS_FOLDER}/{{task}}.js")
SUMMARY = _own_files("summary")
_FORMER_TABLES = _in_folder(
    "tables",
    sample_types="sample_types.csv",
    sample_types_parquet="sample_types.parquet",
    sample_types_overall="sample_types_overall.csv",
    sample_types_overall_parquet="sample_types_overall.parquet",
)
_FORMER_FIGURES = _in_folder("figures", figure="lengths.svg", figure_png="lengths.png")
FORMER: Mapping[str, Files] = {
    "analyse": _own_files("analyse", **_FORMER_TABLES),
    "describe_data": _own_files("describe_data", **_FORMER_FIGURES),
    "partial_report": _own_files("partial_report", **_in_folder("partial", **_FORMER_TABLES, **_FORMER_FIGURES)),
}
"""Outputs that rules had in earlier versions, by the rule's name: nothing makes them or reads them any more."""
PLAN = _own_files("plan", text="plan.txt", table="plan.csv")
PRUNABLE = _own_files("prunable", table="prunable.csv", paths="prunable.txt")
PRUNE = _own_files("prune")
DOUBTFUL = _own_files("doubtful", table="doubtful.csv")
VERIFY = _own_files("verify", table="verify.csv")
NEW = _own_files("new")

RULES: Mapping[str, Files] = {name.lower(): files for name, files in globals().items() if isinstance(files, Files)}
"""The files of each rule, by its name."""

ALL_TRACKERS = f"{RESULTS}/trackers"
TRACKERS = f"{ALL_TRACKERS}/{{base_model}}/{{run}}"
"""Folder of the files that a tracker keeps about a training."""
MANIFEST = "manifest.json"
"""Name of the file in a model's folder that lists what the job has put there."""

STATE = f"{RESULTS}/.state"
"""Folder of unfinished and costly work, which no rule declares."""
TRAINING_STATES, PREDICTION_STATES = f"{STATE}/training", f"{STATE}/predictions"
SCORE_STATES, JUDGEMENT_STATES, LOCKS = f"{STATE}/scores", f"{STATE}/judgements", f"{STATE}/locks"
AHEAD = f"{STATE}/ahead"
"""Folder of results that were made for jobs that have not started yet, by stage, and of the lists of such jobs."""
SHARES = f"{STATE}/shares"
"""Folder of what jobs took, for the Snakemake that writes their benchmarks."""
ASKINGS = f"{STATE}/askings"
"""Folder of what cards say about how models are asked, shared by the runs of a base model."""


def folder_of(pattern: str) -> str:
    """The folder of a path or pattern."""
    return pattern.rpartition("/")[0]


def mix_name(path: str | Path) -> str:
    """The name of a mix in tables, from one of its files."""
    return "/".join(Path(path).parts[-5:-1])


def model_of_tokens(path: str | Path) -> str:
    """The base model whose tokens a file holds."""
    return Path(path).parts[-3]


def model_of_check(path: str | Path) -> tuple[str, str]:
    """Base model and run that a check is about."""
    return Path(path).parent.name, Path(path).stem


def trained_model(path: str | Path) -> dict[str, str]:
    """The wildcards of the training that has left a file in its folder."""
    return dict(zip(("task", "sample_type", "base_model", "run"), Path(path).parts[-5:-1], strict=True))
