rule check:
    input:
        unpack(adapter_files),
        unpack(model_files),
        test=checked_data,
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
        **gpus("predict"),
        mem_mb=sized("predict", "mem_mb", 4000),
        runtime=sized("predict", "runtime", 60),
    params:
        version=2,
        model=lambda wildcards: asked_settings(wildcards.base_model),
        quantization=quantization,
        checks=CONFIG.checks.model_dump(),
    message:
        "Check {wildcards.base_model}, {wildcards.run}"
    script:
        "../scripts/check.py"
