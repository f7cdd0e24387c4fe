# Always runs when asked for: what it writes is no result.
rule new:
    log:
        own(layout.NEW).log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=1,
        asked=ASKED,
        config_files=relative_config_files,
    message:
        "Write a first experiment"
    script:
        "../scripts/new.py"
