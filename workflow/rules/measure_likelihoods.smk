rule measure_likelihoods:
    input:
        unpack(reads(inputs.measure_likelihoods)),
    output:
        **makes(layout.MEASURE_LIKELIHOODS),
    log:
        layout.MEASURE_LIKELIHOODS.log,
    benchmark:
        layout.MEASURE_LIKELIHOODS.benchmark
    wildcard_constraints:
        run=layout.RUN_OR_BASE,
    priority: BEFORE_SCORES
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        **gpus("predict"),
        mem_mb=sized("predict", "mem_mb", 4000),
        runtime=sized("predict", "runtime", 120),
        jobs_per_process=1 if QUEUED else 0,
    params:
        **told(settings.measure_likelihoods, version=1),
    message:
        "Measure likelihoods for {wildcards.task}/{wildcards.sample_type} with {wildcards.base_model}, {wildcards.run}{wildcards.variant}"
    script:
        "../scripts/measure_likelihoods.py"
