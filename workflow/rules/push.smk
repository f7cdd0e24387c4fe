rule push:
    input:
        unpack(pushed_files),
    output:
        "results/pushed/{task}/{sample_type}/{base_model}/{run}.json",
    log:
        "results/logs/pushed/{task}/{sample_type}/{base_model}/{run}.log",
    benchmark:
        "results/benchmarks/pushed/{task}/{sample_type}/{base_model}/{run}.jsonl"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=1,
        hub=hub_settings,
        source=lambda wildcards: CONFIG.models[wildcards.base_model].source.model_dump(),
    message:
        "Push {wildcards.run} on {wildcards.base_model} to {params.hub[repository]}"
    script:
        "../scripts/push.py"
