rule predict_baseline:
    input:
        unpack(reads(inputs.predict_baseline)),
    output:
        **makes(layout.PREDICT_BASELINE),
    log:
        layout.PREDICT_BASELINE.log,
    benchmark:
        layout.PREDICT_BASELINE.benchmark
    wildcard_constraints:
        run="|".join(BASELINES),
    priority: BEFORE_SCORES
    conda:
        "../../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        **told(settings.predict_baseline, version=2),
    message:
        "Answer {wildcards.task}/{wildcards.sample_type} by the baseline {wildcards.run}"
    script:
        "../scripts/predict_baseline.py"
