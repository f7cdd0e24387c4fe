rule check:
    input:
        unpack(reads(inputs.check)),
    output:
        **makes(layout.CHECK),
    log:
        layout.CHECK.log,
    benchmark:
        layout.CHECK.benchmark
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        **gpus("predict"),
        mem_mb=sized("predict", "mem_mb", 4000),
        runtime=sized("predict", "runtime", 60),
        jobs_per_process=1 if QUEUED else 0,
    params:
        **told(settings.check, version=2),
    message:
        "Check {wildcards.base_model}, {wildcards.run}"
    script:
        "../scripts/check.py"
