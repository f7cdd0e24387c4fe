# Always runs when asked for: it has no output that could be up to date.
rule plan:
    log:
        own(layout.PLAN).log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        version=1,
        snakefile=workflow.main_snakefile,
        rerun_triggers=lambda wildcards: sorted(str(trigger) for trigger in workflow.rerun_triggers),
        jobs=lambda wildcards: workflow.nodes,
        cores=lambda wildcards: workflow.cores if workflow.nodes is None else None,
        gpus=lambda wildcards: workflow.global_resources.get("gpu").value,
        rules=lambda wildcards: planned_rules(),
    message:
        "Estimate what is still to be computed"
    script:
        "../scripts/plan.py"
