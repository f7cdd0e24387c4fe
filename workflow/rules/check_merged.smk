rule check_merged:
    input:
        unpack(reads(inputs.check_merged)),
    output:
        **makes(layout.CHECK_MERGED),
    log:
        layout.CHECK_MERGED.log,
    benchmark:
        layout.CHECK_MERGED.benchmark
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        **gpus("import_model"),
        mem_mb=sized("import_model", "mem_mb", 6000),
        runtime=sized("import_model", "runtime", 60),
    params:
        **told(settings.check_merged, version=1),
    message:
        "Check {wildcards.base_model} with {wildcards.run} merged into it"
    script:
        "../scripts/check_merged.py"
