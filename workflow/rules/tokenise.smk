rule tokenise:
    input:
        unpack(reads(inputs.tokenise)),
    output:
        **makes(layout.TOKENISE),
    log:
        layout.TOKENISE.log,
    benchmark:
        layout.TOKENISE.benchmark
    priority: BEFORE_MODELS
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        **told(settings.tokenise, version=1),
    message:
        "Tokenise {wildcards.task}/{wildcards.sample_type} for {wildcards.base_model}"
    script:
        "../scripts/tokenise.py"
