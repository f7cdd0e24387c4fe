rule import_predictions:
    input:
        file=external_file,
        test=rules.prepare_dataset.output.test,
    output:
        predictions="results/predictions/{task}/{sample_type}/{base_model}/{run}.jsonl",
        manifest="results/predictions/{task}/{sample_type}/{base_model}/{run}.manifest.json",
    log:
        "results/logs/predictions/{task}/{sample_type}/{base_model}/{run}.log",
    benchmark:
        "results/benchmarks/predictions/{task}/{sample_type}/{base_model}/{run}.jsonl"
    wildcard_constraints:
        run=EXTERNAL_NAME,
        base_model=rf"(?!{BASELINE}/){NAME}",
    priority: BEFORE_SCORES
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=1,
        axes=external_axes,
        match=lambda wildcards: CONFIG.external_predictions[wildcards.run].match,
        key=lambda wildcards: CONFIG.external_predictions[wildcards.run].key,
        prediction=lambda wildcards: CONFIG.external_predictions[wildcards.run].prediction,
        subset=subset,
    message:
        "Import predictions {wildcards.run} on {wildcards.task}/{wildcards.sample_type}"
    script:
        "../scripts/import_predictions.py"
