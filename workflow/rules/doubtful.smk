# Always runs when asked for: it has no output that could be up to date.
rule doubtful:
    log:
        own(layout.DOUBTFUL).log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        version=1,
        # Ends the workflow if the results are in a storage.
        local=lambda wildcards: local_results("doubtful"),
    message:
        f"List results of earlier versions that may be wrong in {own_place('doubtful.csv')}"
    script:
        "../scripts/doubtful.py"
