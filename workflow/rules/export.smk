rule export:
    input:
        predictions=rules.predict.output.predictions,
        test=rules.prepare_dataset.output.test,
    output:
        jsonl="results/exports/{task}/{sample_type}/{base_model}/{run}{variant}.jsonl",
        csv="results/exports/{task}/{sample_type}/{base_model}/{run}{variant}.csv",
    log:
        "results/logs/exports/{task}/{sample_type}/{base_model}/{run}{variant}.log",
    benchmark:
        "results/benchmarks/exports/{task}/{sample_type}/{base_model}/{run}{variant}.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=2,
    message:
        "Export {wildcards.task}/{wildcards.sample_type}, {wildcards.base_model}, {wildcards.run}{wildcards.variant}"
    script:
        "../scripts/export.py"
