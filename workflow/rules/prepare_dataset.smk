rule prepare_dataset:
    input:
        unpack(reads(inputs.prepare_dataset)),
    output:
        **makes(layout.PREPARE_DATASET),
    log:
        layout.PREPARE_DATASET.log,
    benchmark:
        layout.PREPARE_DATASET.benchmark
    priority: BEFORE_MODELS
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        **told(settings.prepare_dataset, version=1),
    message:
        "Prepare data set {wildcards.task}/{wildcards.sample_type}"
    script:
        "../scripts/prepare_dataset.py"
