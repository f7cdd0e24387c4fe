rule make_mix:
    input:
        unpack(reads(inputs.make_mix)),
    output:
        **makes(layout.MAKE_MIX),
    log:
        layout.MAKE_MIX.log,
    benchmark:
        layout.MAKE_MIX.benchmark
    priority: BEFORE_MODELS
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        **told(settings.make_mix, version=1),
    message:
        "Make mix {wildcards.mix} of {wildcards.task}/{wildcards.sample_type}, {wildcards.nb_samples} samples, seed {wildcards.mix_seed}"
    script:
        "../scripts/make_mix.py"
