rule merge:
    input:
        unpack(reads(inputs.merge)),
    output:
        **makes(layout.MERGE),
    log:
        layout.MERGE.log,
    benchmark:
        layout.MERGE.benchmark
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        **gpus("import_model"),
        mem_mb=sized("import_model", "mem_mb", 6000),
        runtime=sized("import_model", "runtime", 60),
    params:
        version=3,
    message:
        "Merge {wildcards.run} into {wildcards.base_model}"
    script:
        "../scripts/merge.py"
