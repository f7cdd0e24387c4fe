# The grid of the benchmark as a workflow that has only what Snakemake itself asks of any. See __main__.py.
from itertools import product


configfile: "config/config.yaml"


BLOCK = config["grid"][0]
MODELS, TASKS, SCORERS = BLOCK["base_models"], BLOCK["tasks"], list(config["scorers"])
TRAINED = {
    f"{task}__gold__target_only__n{n}__{one}__completion__seed{seed}": (task, n, seed)
    for task, n, one, seed in product(TASKS, BLOCK["nb_samples"], BLOCK["configs"], BLOCK["seeds"])
}
NAMES = ["base", *TRAINED]
DATASET = ["train.jsonl", "validation.jsonl", "test.jsonl", "manifest.json"]
MIX = ["train.jsonl", "validation.jsonl", "manifest.json"]
MODEL = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "manifest.json"]
ADAPTER = ["adapter_model.safetensors", "adapter_config.json", "loss.csv", "manifest.json"]
FOLDERS = [f"results/adapters/{TRAINED[run][0]}/gold/{model}/{run}" for model in MODELS for run in TRAINED]

models = expand("results/models/{model}/{file}", model=MODELS, file=MODEL)
datasets = expand("results/datasets/{task}/gold/{file}", task=TASKS, file=DATASET)
leaks = expand("results/datasets/{task}/gold/leaks.json", task=TASKS)
mixes = expand(
    "results/mixes/{task}/gold/target_only/n{n}-seed{seed}/{file}",
    task=TASKS,
    n=BLOCK["nb_samples"],
    seed=BLOCK["seeds"],
    file=MIX,
)
tokens = expand("results/tokens/{model}/{task}/gold.parquet", model=MODELS, task=TASKS)
adapters = [f"{folder}/{file}" for folder in FOLDERS for file in ADAPTER]
predictions = expand(
    "results/predictions/{task}/gold/{model}/{run}.{ending}",
    task=TASKS,
    model=MODELS,
    run=NAMES,
    ending=["jsonl", "manifest.json"],
)
checks = expand("results/checks/{model}/{run}.json", model=MODELS, run=NAMES)
scores = expand("results/scores/{task}/gold/{model}/{run}/{scorer}.jsonl", task=TASKS, model=MODELS, run=NAMES, scorer=SCORERS)
cards = [f"{folder}/README.md" for folder in FOLDERS]
answers = [file for file in predictions if file.endswith(".jsonl")]


def adapter(wildcards):
    if wildcards.run == "base":
        return []
    folder = f"results/adapters/{TRAINED[wildcards.run][0]}/gold/{wildcards.model}/{wildcards.run}"
    return [f"{folder}/{file}" for file in ADAPTER[:2]]


def mix(wildcards):
    task, n, seed = TRAINED[wildcards.run]
    folder = f"results/mixes/{task}/gold/target_only/n{n}-seed{seed}"
    return [f"{folder}/train.jsonl", f"{folder}/validation.jsonl", f"results/tokens/{wildcards.model}/{task}/gold.parquet"]


def checked(wildcards):
    task = TASKS[0] if wildcards.run == "base" else TRAINED[wildcards.run][0]
    return f"results/datasets/{task}/gold/test.jsonl"


def scored(wildcards):
    return [
        f"results/scores/{task}/gold/{wildcards.model}/{run}/{scorer}.jsonl"
        for task in TASKS
        for run in (wildcards.run, "base")
        for scorer in SCORERS
    ]


wildcard_constraints:
    task="[^/]+",
    model="[^/]+",
    run="[^/]+",
    scorer="[^/]+",
    n="[0-9]+",
    seed="[0-9]+",


rule all:
    default_target: True
    input:
        lambda wildcards: models,
        lambda wildcards: datasets,
        lambda wildcards: leaks,
        lambda wildcards: mixes,
        lambda wildcards: tokens,
        lambda wildcards: adapters,
        lambda wildcards: predictions,
        lambda wildcards: checks,
        lambda wildcards: scores,
        lambda wildcards: cards,
        "results/tables/data.csv",
        [f"results/tables/data{number}.csv" for number in range(4)],
        "results/tables/scores.csv",
        [f"results/tables/table{number}.csv" for number in range(18)],
        "results/report.html",


rule import_model:
    input:
        "data/model",
    output:
        expand("results/models/{{model}}/{file}", file=MODEL),
    log:
        "results/logs/models/{model}/made.log",
    conda:
        "environment.yaml"
    message:
        "Import {wildcards.model}"
    script:
        "script.py"


rule prepare_dataset:
    input:
        "data/train.jsonl",
        "data/validation.jsonl",
        "data/test.jsonl",
    output:
        expand("results/datasets/{{task}}/gold/{file}", file=DATASET),
    log:
        "results/logs/datasets/{task}/gold/made.log",
    conda:
        "environment.yaml"
    message:
        "Prepare {wildcards.task}"
    script:
        "script.py"


rule decontaminate:
    input:
        "results/datasets/{task}/gold/train.jsonl",
        "results/datasets/{task}/gold/validation.jsonl",
        expand("results/datasets/{task}/gold/test.jsonl", task=TASKS),
    output:
        "results/datasets/{task}/gold/leaks.json",
    log:
        "results/logs/datasets/{task}/gold/leaks.json.log",
    conda:
        "environment.yaml"
    message:
        "Compare {wildcards.task}"
    script:
        "script.py"


rule make_mix:
    input:
        "results/datasets/{task}/gold/train.jsonl",
        "results/datasets/{task}/gold/validation.jsonl",
        ancient("results/datasets/{task}/gold/leaks.json"),
    output:
        expand("results/mixes/{{task}}/gold/target_only/n{{n}}-seed{{seed}}/{file}", file=MIX),
    log:
        "results/logs/mixes/{task}/gold/target_only/n{n}-seed{seed}/made.log",
    conda:
        "environment.yaml"
    message:
        "Make mix of {wildcards.task}, {wildcards.n}, {wildcards.seed}"
    script:
        "script.py"


rule tokenise:
    input:
        "results/datasets/{task}/gold/train.jsonl",
        "results/datasets/{task}/gold/validation.jsonl",
        "results/datasets/{task}/gold/test.jsonl",
        "results/models/{model}/tokenizer.json",
        "results/models/{model}/tokenizer_config.json",
    output:
        "results/tokens/{model}/{task}/gold.parquet",
    log:
        "results/logs/tokens/{model}/{task}/gold.parquet.log",
    conda:
        "environment.yaml"
    message:
        "Tokenise {wildcards.task} for {wildcards.model}"
    script:
        "script.py"


rule train:
    input:
        mix,
        "results/models/{model}/model.safetensors",
        "results/models/{model}/config.json",
        "results/models/{model}/tokenizer.json",
    output:
        expand("results/adapters/{{task}}/gold/{{model}}/{{run}}/{file}", file=ADAPTER),
    log:
        "results/logs/adapters/{task}/gold/{model}/{run}/made.log",
    conda:
        "environment.yaml"
    message:
        "Train {wildcards.run} on {wildcards.model}"
    script:
        "script.py"


rule predict:
    input:
        adapter,
        "results/models/{model}/model.safetensors",
        "results/models/{model}/config.json",
        "results/models/{model}/tokenizer.json",
        "results/datasets/{task}/gold/test.jsonl",
    output:
        "results/predictions/{task}/gold/{model}/{run}.jsonl",
        "results/predictions/{task}/gold/{model}/{run}.manifest.json",
    log:
        "results/logs/predictions/{task}/gold/{model}/{run}.jsonl.log",
    conda:
        "environment.yaml"
    message:
        "Predict {wildcards.task} with {wildcards.model}, {wildcards.run}"
    script:
        "script.py"


rule check:
    input:
        adapter,
        checked,
        "results/models/{model}/model.safetensors",
        "results/models/{model}/config.json",
        "results/models/{model}/tokenizer.json",
    output:
        "results/checks/{model}/{run}.json",
    log:
        "results/logs/checks/{model}/{run}.json.log",
    conda:
        "environment.yaml"
    message:
        "Check {wildcards.model}, {wildcards.run}"
    script:
        "script.py"


rule score:
    input:
        "results/predictions/{task}/gold/{model}/{run}.jsonl",
    output:
        "results/scores/{task}/gold/{model}/{run}/{scorer}.jsonl",
    log:
        "results/logs/scores/{task}/gold/{model}/{run}/{scorer}.jsonl.log",
    conda:
        "environment.yaml"
    message:
        "Score {wildcards.task}, {wildcards.model}, {wildcards.run} with {wildcards.scorer}"
    script:
        "script.py"


rule describe_model:
    input:
        "results/adapters/{task}/gold/{model}/{run}/manifest.json",
        scored,
    output:
        "results/adapters/{task}/gold/{model}/{run}/README.md",
    log:
        "results/logs/adapters/{task}/gold/{model}/{run}/README.md.log",
    conda:
        "environment.yaml"
    message:
        "Describe {wildcards.run} on {wildcards.model}"
    script:
        "script.py"


rule analyse:
    input:
        lambda wildcards: answers,
        lambda wildcards: scores,
        lambda wildcards: [file for file in adapters if file.endswith(("loss.csv", "manifest.json"))],
        lambda wildcards: [file for file in datasets if file.endswith("test.jsonl")],
    output:
        "results/tables/scores.csv",
        [f"results/tables/table{number}.csv" for number in range(18)],
    log:
        "results/logs/tables/scores.csv.log",
    conda:
        "environment.yaml"
    message:
        "Make tables"
    script:
        "script.py"


rule describe_data:
    input:
        lambda wildcards: datasets,
        lambda wildcards: mixes,
        lambda wildcards: tokens,
        lambda wildcards: leaks,
    output:
        "results/tables/data.csv",
        [f"results/tables/data{number}.csv" for number in range(4)],
    log:
        "results/logs/tables/data.csv.log",
    conda:
        "environment.yaml"
    message:
        "Measure the data"
    script:
        "script.py"


rule report:
    input:
        lambda wildcards: models,
        lambda wildcards: datasets,
        lambda wildcards: leaks,
        lambda wildcards: mixes,
        lambda wildcards: tokens,
        lambda wildcards: adapters,
        lambda wildcards: predictions,
        lambda wildcards: checks,
        lambda wildcards: scores,
        lambda wildcards: cards,
        lambda wildcards: [file for file in adapters + predictions if file.endswith("manifest.json")],
        rules.analyse.output,
        rules.describe_data.output,
    output:
        "results/report.html",
    log:
        "results/logs/report.html.log",
    conda:
        "environment.yaml"
    message:
        "Write the report"
    script:
        "script.py"
