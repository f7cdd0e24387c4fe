rule export_log:
    input:
        unpack(reads(inputs.export_log)),
    output:
        **makes(layout.EXPORT_LOG),
    log:
        layout.EXPORT_LOG.log,
    benchmark:
        layout.EXPORT_LOG.benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        **told(settings.export_log, version=1),
    message:
        "Write a log of {wildcards.task}/{wildcards.sample_type}, {wildcards.base_model}, {wildcards.run}{wildcards.variant} for Inspect"
    script:
        "../scripts/export_log.py"
