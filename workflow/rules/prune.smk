# Always runs when asked for: it has no output that could be up to date.
rule prune:
    log:
        own(layout.PRUNE).log,
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
        rules=made_by_rules,
        config_files=relative_config_files,
    message:
        f"Remove what {own_place('prunable.csv')} lists"
    script:
        "../scripts/prune.py"
