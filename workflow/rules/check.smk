rule check:
    input:
        unpack(adapter_files),
        test=checked_data,
        model=rules.import_model.output.model,
        model_config=rules.import_model.output.config,
        tokenizer=rules.import_model.output.tokenizer,
    output:
        "results/checks/{base_model}/{run}.json",
    log:
        "results/logs/checks/{base_model}/{run}.log",
    benchmark:
        "results/benchmarks/checks/{base_model}/{run}.jsonl"
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        version=1,
        model=lambda wildcards: model_settings(wildcards.base_model),
        quantization=quantization,
        checks=CONFIG.checks.model_dump(),
    message:
        "Check {wildcards.base_model}, {wildcards.run}"
    script:
        "../scripts/check.py"
