from snakemake.iocontainers import Wildcards

from loragrid.grid.jobs.lookups import all_pretrained
from loragrid.grid.jobs.resources import computes_here, is_light_score, loaded_model, stated_resource
from loragrid.runtime.files import fingerprint

# Whether jobs wait in a queue, for example of a cluster (`--jobs`). A queue asks for their memory and time. On this machine, only
# cores count.
QUEUED = workflow.global_resources.get("_nodes").value is not None
# A scorer that is slow to start scores all existing predictions: the later it runs, the more there are.
BEFORE_SCORES = 1
# A process with a base model does all work of other jobs that is ready: the later it starts, the more there is.
BEFORE_MODELS = 2


def growing(amount):
    """Resource: so much for the first attempt, twice as much for the second, and so on.

    Without a queue it is a plain number: Snakemake plans that faster.
    """
    return signed(lambda wildcards, attempt: amount * attempt) if QUEUED else amount


def sized(stage, resource, default=None):
    """Resource: the value for the stage in the entry of the job's model, else the default. Memory and time grow."""
    grows = resource in ("mem_mb", "runtime")
    if not any(getattr(getattr(entry.resources, stage, None), resource, None) for entry in all_pretrained(CONFIG)):
        return growing(default) if grows else default

    @signed
    def amount(wildcards, attempt):
        stated = stated_resource(CONFIG, loaded_model(CONFIG, wildcards), stage, resource, default)
        return stated * attempt if grows else stated

    return amount


def gpus(stage):
    """Resources: GPUs, and their model, of jobs that compute with a model.

    There are none if neither the configuration nor `--resources gpu=N` asks for any. With that limit, a job takes one GPU if its
    model's entry says nothing.
    """
    limited = workflow.global_resources.get("gpu").value is not None
    stated = any(of_stage.gpu is not None for entry in all_pretrained(CONFIG) for _, of_stage in entry.resources)
    if not limited and not stated:
        return {}

    def of_computing(resource, default=None):
        @signed
        def value(wildcards, attempt):
            model = loaded_model(CONFIG, wildcards)
            return stated_resource(CONFIG, model, stage, resource, default) if computes_here(CONFIG, model, stage) else None

        return value

    return {
        "gpu": of_computing("gpu", 1 if limited and stage != "import_model" else None),
        "gpu_model": of_computing("gpu_model"),
    }


def light_scores(wildcards):
    """The group of a prediction file's scores that take only seconds.

    With `--group-components scores=N`, N of them are one submission. A submission waits for the inputs of all its jobs, so that a
    failed prediction would keep other scores waiting. So the scores of other predictions are not in the group.
    """
    if not is_light_score(CONFIG, wildcards):
        return None
    group = f"scores_{fingerprint([value for name, value in sorted(wildcards.items()) if name != 'scorer'])[:12]}"
    workflow.parent_groupids[group] = "scores"
    return group


def scoring_minutes():
    """Resource: the time limit of a score job. It is short, since the limits of jobs in the same submission add up."""
    light, others = growing(5), sized("score", "runtime", 30)
    if not QUEUED:
        return others
    return signed(lambda wildcards, attempt: (light if is_light_score(CONFIG, wildcards) else others)(wildcards, attempt))


def planned_rules():
    """How the first output of each rule is recognised, and what its jobs ask for, by the value of the deciding wildcard."""
    local_results("plan")
    planned = {}
    for declared in workflow.rules:
        if declared.output:
            decider = next((name for name in ("scorer", "base_model") if name in declared.wildcard_names), "")
            values = {"scorer": CONFIG.scorers, "base_model": CONFIG.models}.get(decider, {})
            asked = {value: asked_resources(declared, {decider: value}) for value in ("", *values)}
            planned[declared.name] = {"pattern": declared.output[0].regex().pattern, "decider": decider, "asked": asked}
    return planned


def asked_resources(declared, wildcards):
    """Threads, memory, GPUs and jobs of a process in a first attempt, as far as these wildcards alone tell."""
    asked = {}
    for name, default in (("_cores", 1), ("mem_mb", None), ("gpu", 0), ("jobs_per_process", 1)):
        try:
            amount = declared.resources.get(name).evaluate(Wildcards(fromdict=wildcards), attempt=1).value
        except (WorkflowError, TypeError, LookupError, AttributeError):
            amount = None
        asked[name.strip("_")] = default if amount is None else amount
    return asked
