rule select_demonstrations:
    input:
        unpack(reads(inputs.select_demonstrations)),
    output:
        **makes(layout.SELECT_DEMONSTRATIONS),
    log:
        layout.SELECT_DEMONSTRATIONS.log,
    benchmark:
        layout.SELECT_DEMONSTRATIONS.benchmark
    priority: BEFORE_MODELS
    conda:
        "../../envs/score.yaml"
    threads: 1
    resources:
        **gpus("score"),
        mem_mb=sized("score", "mem_mb", 2000),
        runtime=sized("score", "runtime", 60),
    params:
        **told(settings.select_demonstrations, version=1),
    message:
        "Select demonstrations of {wildcards.task}/{wildcards.sample_type} for {wildcards.prompting}{wildcards.of_split}"
    script:
        "../scripts/select_demonstrations.py"
