rule report:
    input:
        **{name: tier(name) for name in TIERS},
        manifests=computed_manifests,
        tables=rules.analyse.output,
        scores_table=rules.analyse.output.scores,
        learning_curves=rules.analyse.output.learning_curves,
        data=rules.describe_data.output,
    output:
        **makes(layout.REPORT),
    log:
        layout.REPORT.log,
    benchmark:
        layout.REPORT.benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=3,
        tiers=list(TIERS),
        metric=CONFIG.main_metric,
        report=settings.report(GRID).model_dump(),
    message:
        "Write results/report.html"
    script:
        "../scripts/report.py"


# Always runs when asked for: it has no output that could be up to date.
rule partial_report:
    log:
        layout.log_file("partial_report"),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=1,
        tiers=local_tiers,
        folder=layout.PARTIAL,
        settings=settings.analyse(GRID).model_dump(),
        metric=CONFIG.main_metric,
        report=settings.report(GRID).model_dump(),
    message:
        "Write results/partial/report.html"
    script:
        "../scripts/partial_report.py"
