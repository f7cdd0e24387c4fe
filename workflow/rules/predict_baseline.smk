rule predict_baseline:
    input:
        unpack(baseline_files),
        test=rules.prepare_dataset.output.test,
    output:
        predictions=f"results/predictions/{{task}}/{{sample_type}}/{BASELINE}/{{run}}.jsonl",
    log:
        f"results/logs/predictions/{{task}}/{{sample_type}}/{BASELINE}/{{run}}.log",
    benchmark:
        f"results/benchmarks/predictions/{{task}}/{{sample_type}}/{BASELINE}/{{run}}.jsonl"
    wildcard_constraints:
        run="|".join(BASELINES),
    priority: BEFORE_SCORES
    conda:
        "../../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=2,
        rule=lambda wildcards: CONFIG.tasks[wildcards.task].rule if wildcards.run == "rule" else None,
        label_scorers=label_scorers,
        subset=subset,
    message:
        "Answer {wildcards.task}/{wildcards.sample_type} by the baseline {wildcards.run}"
    script:
        "../scripts/predict_baseline.py"
