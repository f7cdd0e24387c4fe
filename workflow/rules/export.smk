rule export:
    input:
        unpack(reads(inputs.export)),
    output:
        **makes(layout.EXPORT),
    log:
        layout.EXPORT.log,
    benchmark:
        layout.EXPORT.benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=3,
    message:
        "Export {wildcards.task}/{wildcards.sample_type}, {wildcards.base_model}, {wildcards.run}{wildcards.variant}"
    script:
        "../scripts/export.py"
