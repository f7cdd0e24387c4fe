rule decontaminate:
    input:
        train=rules.prepare_dataset.output.train,
        validation=rules.prepare_dataset.output.validation,
        tests=evaluated_tests,
    output:
        "results/datasets/{task}/{sample_type}/leaks.json",
    log:
        "results/logs/leaks/{task}/{sample_type}.log",
    benchmark:
        "results/benchmarks/leaks/{task}/{sample_type}.jsonl"
    priority: BEFORE_SCORES
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=1,
    message:
        "Compare {wildcards.task}/{wildcards.sample_type} with the grid's test sets"
    script:
        "../scripts/decontaminate.py"
