rule merge:
    input:
        unpack(adapter_files),
        unpack(all_files_of_base),
        card=card_file,
        model=rules.import_model.output.model,
        model_config=rules.import_model.output.config,
        tokenizer=rules.import_model.output.tokenizer,
    output:
        **other_files("results/merged/{task}/{sample_type}/{base_model}/{run}"),
        model="results/merged/{task}/{sample_type}/{base_model}/{run}/model.safetensors",
        config="results/merged/{task}/{sample_type}/{base_model}/{run}/config.json",
        card="results/merged/{task}/{sample_type}/{base_model}/{run}/README.md",
    log:
        "results/logs/merged/{task}/{sample_type}/{base_model}/{run}.log",
    benchmark:
        "results/benchmarks/merged/{task}/{sample_type}/{base_model}/{run}.jsonl"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        **gpus("import_model"),
        mem_mb=sized("import_model", "mem_mb", 6000),
        runtime=sized("import_model", "runtime", 60),
    params:
        version=1,
    message:
        "Merge {wildcards.run} into {wildcards.base_model}"
    script:
        "../scripts/merge.py"
