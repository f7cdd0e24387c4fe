rule push:
    input:
        unpack(reads(inputs.push)),
    output:
        **makes(own(layout.PUSH)),
    log:
        own(layout.PUSH).log,
    benchmark:
        own(layout.PUSH).benchmark
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        **told(settings.push, version=2),
    message:
        "Push {wildcards.run} on {wildcards.base_model} to {params.hub[repository]}"
    script:
        "../scripts/push.py"
