rule describe_model:
    input:
        unpack(reads(inputs.describe_model)),
    output:
        **makes(layout.DESCRIBE_MODEL),
    log:
        layout.DESCRIBE_MODEL.log,
    benchmark:
        layout.DESCRIBE_MODEL.benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        source=lambda wildcards: ask(settings.source_of_base_model, wildcards),
        # Of the scores among its inputs: what follows from inputs is no reason of its own to run again.
        kinds=lambda wildcards, input: ask(settings.scorer_kinds, wildcards),
        version=2,
    message:
        "Write the model card of {wildcards.run} on {wildcards.base_model}"
    script:
        "../scripts/describe_model.py"


use rule describe_model as describe_full_model with:
    output:
        **makes(layout.DESCRIBE_FULL_MODEL),
