rule predict:
    input:
        unpack(reads(inputs.predict)),
    output:
        **makes(layout.PREDICT),
    log:
        layout.PREDICT.log,
    benchmark:
        layout.PREDICT.benchmark
    wildcard_constraints:
        run=layout.RUN_OR_BASE,
    priority: BEFORE_SCORES
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        **gpus("predict"),
        mem_mb=sized("predict", "mem_mb", 4000),
        runtime=sized("predict", "runtime", 240),
        jobs_per_process=1 if QUEUED else 0,
    params:
        **told(settings.predict, version=2),
    message:
        "Predict {wildcards.task}/{wildcards.sample_type} with {wildcards.base_model}, {wildcards.run}{wildcards.variant}"
    script:
        "../scripts/predict.py"
