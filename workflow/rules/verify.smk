# Always runs when asked for: it has no output that could be up to date.
rule verify:
    log:
        own(layout.VERIFY).log,
    localrule: True
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        version=1,
        # Ends the workflow if the results are in a storage.
        local=lambda wildcards: local_results("verify"),
    message:
        f"Read everything that the grid has made; {own_place('verify.csv')} lists what is damaged"
    script:
        "../scripts/verify.py"
