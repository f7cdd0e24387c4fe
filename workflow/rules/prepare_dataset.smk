rule prepare_dataset:
    input:
        unpack(cleaning_tokenizer),
        source=data_source_files,
    output:
        train="results/datasets/{task}/{sample_type}/train.jsonl",
        validation="results/datasets/{task}/{sample_type}/validation.jsonl",
        test="results/datasets/{task}/{sample_type}/test.jsonl",
        manifest="results/datasets/{task}/{sample_type}/manifest.json",
    log:
        "results/logs/datasets/{task}/{sample_type}.log",
    benchmark:
        "results/benchmarks/datasets/{task}/{sample_type}.jsonl"
    priority: BEFORE_SCORES
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=1,
        source=lambda wildcards: data_source(wildcards).model_dump(),
        fields=lambda wildcards: CONFIG.tasks[wildcards.task].fields(wildcards.sample_type),
        cleaning=lambda wildcards: CONFIG.tasks[wildcards.task].cleaning.model_dump(),
    message:
        "Prepare data set {wildcards.task}/{wildcards.sample_type}"
    script:
        "../scripts/prepare_dataset.py"
