rule decontaminate:
    input:
        unpack(reads(inputs.decontaminate)),
    output:
        **makes(own(layout.DECONTAMINATE)),
    log:
        own(layout.DECONTAMINATE).log,
    benchmark:
        own(layout.DECONTAMINATE).benchmark
    priority: BEFORE_MODELS
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=2,
    message:
        "Compare {wildcards.task}/{wildcards.sample_type} with the grid's test sets"
    script:
        "../scripts/decontaminate.py"
