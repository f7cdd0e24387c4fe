rule train:
    input:
        unpack(mix_files),
        unpack(start_files),
        unpack(all_files_of_base),
        model=rules.import_model.output.model,
        model_config=rules.import_model.output.config,
        tokenizer=rules.import_model.output.tokenizer,
    output:
        adapter="results/adapters/{task}/{sample_type}/{base_model}/{run}/adapter_model.safetensors",
        adapter_config="results/adapters/{task}/{sample_type}/{base_model}/{run}/adapter_config.json",
        losses="results/adapters/{task}/{sample_type}/{base_model}/{run}/loss.csv",
        manifest="results/adapters/{task}/{sample_type}/{base_model}/{run}/manifest.json",
    log:
        "results/logs/adapters/{task}/{sample_type}/{base_model}/{run}.log",
    benchmark:
        "results/benchmarks/adapters/{task}/{sample_type}/{base_model}/{run}.jsonl"
    priority: BEFORE_SCORES
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        **gpus("train"),
        mem_mb=sized("train", "mem_mb", 6000),
        runtime=sized("train", "runtime", 720),
        checkpoint_minutes=10,
    params:
        version=1,
        run=lambda wildcards: find_run(wildcards)._asdict(),
        model=lambda wildcards: model_settings(wildcards.base_model),
        config=training_settings,
        seeds=lambda wildcards: CONFIG.seeds_of(find_run(wildcards).seed).model_dump(),
    message:
        "Train {wildcards.run} on {wildcards.base_model}"
    script:
        "../scripts/train.py"


use rule train as train_full with:
    output:
        **other_files("results/finetuned/{task}/{sample_type}/{base_model}/{run}"),
        adapter="results/finetuned/{task}/{sample_type}/{base_model}/{run}/model.safetensors",
        adapter_config="results/finetuned/{task}/{sample_type}/{base_model}/{run}/config.json",
        losses="results/finetuned/{task}/{sample_type}/{base_model}/{run}/loss.csv",
        manifest="results/finetuned/{task}/{sample_type}/{base_model}/{run}/manifest.json",
