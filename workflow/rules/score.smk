rule score:
    input:
        unpack(scorer_inputs),
        predictions=rules.predict.output.predictions,
    output:
        "results/scores/{task}/{sample_type}/{base_model}/{run}{variant}/{scorer}.jsonl",
    log:
        "results/logs/scores/{task}/{sample_type}/{base_model}/{run}{variant}/{scorer}.log",
    benchmark:
        "results/benchmarks/scores/{task}/{sample_type}/{base_model}/{run}{variant}/{scorer}.jsonl"
    group:
        light_scores if QUEUED else None
    conda:
        "../../envs/score.yaml"
    threads: 1
    resources:
        **gpus("score"),
        mem_mb=sized("score", "mem_mb", 2000),
        runtime=scoring_minutes(),
    params:
        version=1,
        scorer=scorer_settings,
        metrics=scorer_metrics,
    message:
        "Score {wildcards.task}/{wildcards.sample_type}, {wildcards.base_model}, {wildcards.run}{wildcards.variant} with {wildcards.scorer}"
    script:
        "../scripts/score.py"
