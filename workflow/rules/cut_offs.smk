# On demand: nothing else reads it.
rule cut_offs:
    input:
        tokens=tier("tokens"),
    output:
        **makes(own(layout.CUT_OFFS)),
    log:
        own(layout.CUT_OFFS).log,
    benchmark:
        own(layout.CUT_OFFS).benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=1,
        limits=lengths_trained_to,
    message:
        "List what max_length takes from references"
    script:
        "../scripts/cut_offs.py"
