rule score:
    input:
        unpack(reads(inputs.score)),
    output:
        **makes(layout.SCORE),
    log:
        layout.SCORE.log,
    benchmark:
        layout.SCORE.benchmark
    group:
        light_scores if QUEUED else None
    conda:
        "../../envs/score.yaml"
    threads: 1
    resources:
        **gpus("score"),
        mem_mb=sized("score", "mem_mb", 2000),
        runtime=scoring_minutes(),
        jobs_per_process=0,
    params:
        **told(settings.score, version=1),
    message:
        "Score {wildcards.task}/{wildcards.sample_type}, {wildcards.base_model}, {wildcards.run}{wildcards.variant} with {wildcards.scorer}"
    script:
        "../scripts/score.py"
