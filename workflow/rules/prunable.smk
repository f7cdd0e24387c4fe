# Always runs when asked for: it has no output that could be up to date.
rule prunable:
    log:
        own(layout.PRUNABLE).log,
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
        f"List what the configuration does not ask for any more in {own_place('prunable.csv')}"
    script:
        "../scripts/prunable.py"
