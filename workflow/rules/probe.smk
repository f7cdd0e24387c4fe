rule probe:
    input:
        unpack(reads(inputs.probe)),
    output:
        **makes(layout.PROBE),
    log:
        layout.PROBE.log,
    benchmark:
        layout.PROBE.benchmark
    wildcard_constraints:
        run=layout.RUN_OR_BASE,
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        **gpus("predict"),
        mem_mb=sized("predict", "mem_mb", 4000),
        runtime=sized("predict", "runtime", 60),
        jobs_per_process=1 if QUEUED else 0,
    params:
        **told(settings.probe, version=1),
    message:
        "Probe what {wildcards.base_model}, {wildcards.run} knows of general language"
    script:
        "../scripts/probe.py"
