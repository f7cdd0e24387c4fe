rule make_mix:
    input:
        unpack(mixed_data),
    output:
        train="results/mixes/{task}/{sample_type}/{mix}/n{nb_samples}-seed{mix_seed}/train.jsonl",
        validation="results/mixes/{task}/{sample_type}/{mix}/n{nb_samples}-seed{mix_seed}/validation.jsonl",
        manifest="results/mixes/{task}/{sample_type}/{mix}/n{nb_samples}-seed{mix_seed}/manifest.json",
    log:
        "results/logs/mixes/{task}/{sample_type}/{mix}/n{nb_samples}-seed{mix_seed}.log",
    benchmark:
        "results/benchmarks/mixes/{task}/{sample_type}/{mix}/n{nb_samples}-seed{mix_seed}.jsonl"
    priority: BEFORE_SCORES
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=1,
        tasks=mixed_tasks,
        recipe=lambda wildcards: CONFIG.mixes[wildcards.mix].model_dump(),
    message:
        "Make mix {wildcards.mix} of {wildcards.task}/{wildcards.sample_type}, {wildcards.nb_samples} samples, seed {wildcards.mix_seed}"
    script:
        "../scripts/make_mix.py"
