rule tokenise:
    input:
        unpack(all_files_of_base),
        train=rules.prepare_dataset.output.train,
        validation=rules.prepare_dataset.output.validation,
        test=rules.prepare_dataset.output.test,
        tokenizer=rules.import_model.output.tokenizer,
        tokenizer_config=rules.import_model.output.tokenizer_config,
    output:
        "results/tokens/{base_model}/{task}/{sample_type}.parquet",
    log:
        "results/logs/tokens/{base_model}/{task}/{sample_type}.log",
    benchmark:
        "results/benchmarks/tokens/{base_model}/{task}/{sample_type}.jsonl"
    priority: BEFORE_SCORES
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=1,
        model=lambda wildcards: model_settings(wildcards.base_model),
    message:
        "Tokenise {wildcards.task}/{wildcards.sample_type} for {wildcards.base_model}"
    script:
        "../scripts/tokenise.py"
