rule describe_model:
    input:
        manifest=rules.train.output.manifest,
        scores=scores_of_run,
    output:
        "results/adapters/{task}/{sample_type}/{base_model}/{run}/README.md",
    log:
        "results/logs/cards/{task}/{sample_type}/{base_model}/{run}.log",
    benchmark:
        "results/benchmarks/cards/{task}/{sample_type}/{base_model}/{run}.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=2,
        source=lambda wildcards: CONFIG.models[wildcards.base_model].source.model_dump(),
        kinds=scorer_kinds_of_run,
    message:
        "Write the model card of {wildcards.run} on {wildcards.base_model}"
    script:
        "../scripts/describe_model.py"


use rule describe_model as describe_full_model with:
    input:
        manifest=rules.train_full.output.manifest,
        scores=scores_of_run,
    output:
        "results/finetuned/{task}/{sample_type}/{base_model}/{run}/README.md",
