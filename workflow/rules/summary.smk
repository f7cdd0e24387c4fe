# Always runs when asked for: it has no output that could be up to date.
rule summary:
    log:
        own(layout.SUMMARY).log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=1,
        tiers=local_tiers("summary"),
        settings=settings.analyse(GRID).model_dump(),
        report=decisive(settings.report(GRID)),
        tables=own_place("tables"),
    message:
        "Show the table of the study and the verdicts so far"
    script:
        "../scripts/summary.py"
