rule import_predictions:
    input:
        unpack(reads(inputs.import_predictions)),
    output:
        **makes(layout.IMPORT_PREDICTIONS),
    log:
        layout.IMPORT_PREDICTIONS.log,
    benchmark:
        layout.IMPORT_PREDICTIONS.benchmark
    wildcard_constraints:
        run=EXTERNAL_NAME,
        base_model=rf"(?!{layout.BASELINE}/){NAME}",
    priority: BEFORE_SCORES
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        **told(settings.import_predictions, version=1),
    message:
        "Import predictions {wildcards.run} on {wildcards.task}/{wildcards.sample_type}"
    script:
        "../scripts/import_predictions.py"
