rule score:
    input:
        unpack(encoder_files),
        predictions=rules.predict.output.predictions,
    output:
        "results/scores/{task}/{sample_type}/{base_model}/{run}{variant}/{scorer}.jsonl",
    log:
        "results/logs/scores/{task}/{sample_type}/{base_model}/{run}{variant}/{scorer}.log",
    benchmark:
        "results/benchmarks/scores/{task}/{sample_type}/{base_model}/{run}{variant}/{scorer}.jsonl"
    conda:
        "../../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        version=1,
        scorer=lambda wildcards: CONFIG.scorers[wildcards.scorer].model_dump(),
    message:
        "Score {wildcards.task}/{wildcards.sample_type}, {wildcards.base_model}, {wildcards.run}{wildcards.variant} with {wildcards.scorer}"
    script:
        "../scripts/score.py"
