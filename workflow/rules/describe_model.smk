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
        "../../envs/infer.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        # Facts that follow from the scores among the inputs are no reason of their own to run again, nor is another experiment.
        **told(settings.describe_model, version=3, derived=["kinds", "experiment"]),
    message:
        "Write the model card of {wildcards.run} on {wildcards.base_model}"
    script:
        "../scripts/describe_model.py"


use rule describe_model as describe_full_model with:
    output:
        **makes(layout.DESCRIBE_FULL_MODEL),
