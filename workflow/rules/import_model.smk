rule import_model:
    input:
        model_source_files,
    output:
        **other_files("results/models/{base_model}"),
        config="results/models/{base_model}/config.json",
        model="results/models/{base_model}/model.safetensors",
        tokenizer="results/models/{base_model}/tokenizer.json",
        tokenizer_config="results/models/{base_model}/tokenizer_config.json",
        manifest="results/models/{base_model}/manifest.json",
    log:
        "results/logs/models/{base_model}.log",
    benchmark:
        "results/benchmarks/models/{base_model}.jsonl"
    priority: BEFORE_SCORES
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        **gpus("import_model"),
        mem_mb=sized("import_model", "mem_mb", 4000),
        runtime=sized("import_model", "runtime", 60),
    params:
        version=1,
        source=lambda wildcards: pretrained(wildcards.base_model).source.model_dump(),
        is_encoder=lambda wildcards: wildcards.base_model in CONFIG.encoders,
    message:
        "Import model {wildcards.base_model}"
    script:
        "../scripts/import_model.py"
