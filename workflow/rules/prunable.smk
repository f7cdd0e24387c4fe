# Always runs when asked for: it has no output that could be up to date.
rule prunable:
    log:
        layout.log_file("prunable"),
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
        "List what the configuration does not ask for any more in results/prunable.csv"
    script:
        "../scripts/prunable.py"
