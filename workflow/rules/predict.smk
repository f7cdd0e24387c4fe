rule predict:
    input:
        unpack(prediction_files),
        test=rules.prepare_dataset.output.test,
    output:
        predictions="results/predictions/{task}/{sample_type}/{base_model}/{run}{variant}.jsonl",
        manifest="results/predictions/{task}/{sample_type}/{base_model}/{run}{variant}.manifest.json",
    log:
        "results/logs/predictions/{task}/{sample_type}/{base_model}/{run}{variant}.log",
    benchmark:
        "results/benchmarks/predictions/{task}/{sample_type}/{base_model}/{run}{variant}.jsonl"
    wildcard_constraints:
        run=RUN_NAME,
    priority: BEFORE_SCORES
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        **gpus("predict"),
        mem_mb=sized("predict", "mem_mb", 4000),
        runtime=sized("predict", "runtime", 240),
    params:
        version=2,
        axes=axes,
        model=prediction_settings,
        quantization=quantization,
        prompting=prompting_settings,
        instruction=instruction,
        decoding=decoding_settings,
        subset=subset,
    message:
        "Predict {wildcards.task}/{wildcards.sample_type} with {wildcards.base_model}, {wildcards.run}{wildcards.variant}"
    script:
        "../scripts/predict.py"
