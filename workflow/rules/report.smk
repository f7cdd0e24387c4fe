rule report:
    input:
        **{name: tier(name) for name in shown_tiers(GRID)},
        manifests=computed_manifests,
        tables=rules.analyse.output,
        scores_table=rules.analyse.output.scores,
        learning_curves=rules.analyse.output.learning_curves,
        data=rules.describe_data.output,
    output:
        **makes(own(layout.REPORT)),
        answers=answers_beside_report(),
    log:
        own(layout.REPORT).log,
    benchmark:
        own(layout.REPORT).benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        # Answers and scores are about ten times as large in memory as their files. Weights of adapters are not read.
        mem_mb=lambda wildcards, input, attempt: (
            (2000 + int(sum(map(os.path.getsize, [*input.predictions, *input.scores])) / 1e5)) * attempt
        ),
    params:
        version=5,
        tiers=shown_tiers(GRID),
        settings=settings.analyse(GRID).model_dump(),
        report=decisive(settings.report(GRID)),
    message:
        f"Write {own_place('report.html')}"
    script:
        "../scripts/report.py"


# Always runs when asked for: it has no output that could be up to date.
rule partial_report:
    log:
        own(layout.PARTIAL_REPORT).log,
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=1,
        tiers=local_tiers("partial_report"),
        files=own(layout.PARTIAL_REPORT).outputs,
        settings=settings.analyse(GRID).model_dump(),
        report=decisive(settings.report(GRID)),
    message:
        f"Write {own_place('partial/report.html')}"
    script:
        "../scripts/partial_report.py"
