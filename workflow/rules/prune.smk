# Always runs when asked for: it has no output that could be up to date.
rule prune:
    log:
        layout.log_file("prune"),
    # A refused list is refused again.
    retries: 0
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        version=1,
        made=made_by_rules,
    message:
        "Remove what results/prunable.csv lists"
    script:
        "../scripts/prune.py"
