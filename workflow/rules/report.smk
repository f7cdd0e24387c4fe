TIERS = [
    "models",
    "datasets",
    "leaks",
    "mixes",
    "tokens",
    "adapters",
    "demonstrations",
    "predictions",
    "checks",
    "scores",
    "cards",
]


rule report:
    input:
        models=tier("models"),
        datasets=tier("datasets"),
        leaks=tier("leaks"),
        mixes=tier("mixes"),
        tokens=tier("tokens"),
        adapters=tier("adapters"),
        demonstrations=tier("demonstrations"),
        predictions=tier("predictions"),
        checks=tier("checks"),
        scores=tier("scores"),
        cards=tier("cards"),
        manifests=computed_manifests,
        tables=rules.analyse.output,
        scores_table=rules.analyse.output.scores,
        learning_curves=rules.analyse.output.learning_curves,
        data=rules.describe_data.output,
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=2,
        tiers=TIERS,
        metric=CONFIG.main_metric,
        report=CONFIG.report.model_dump(include={"title", "examples"}),
    message:
        "Write results/report.html"
    script:
        "../scripts/report.py"


# Always runs when asked for: it has no output that could be up to date.
rule partial_report:
    log:
        "results/logs/partial_report.log",
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=1,
        tiers=local_tiers,
        folder="results/partial",
        settings=analysis_settings(),
        metric=CONFIG.main_metric,
        report=CONFIG.report.model_dump(include={"title", "examples"}),
    message:
        "Write results/partial/report.html"
    script:
        "../scripts/partial_report.py"
