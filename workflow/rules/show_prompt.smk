rule show_prompt:
    input:
        unpack(reads(inputs.show_prompt)),
    output:
        **makes(layout.SHOW_PROMPT),
    log:
        layout.SHOW_PROMPT.log,
    benchmark:
        layout.SHOW_PROMPT.benchmark
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        **told(settings.show_prompt, version=1),
    message:
        "Show the prompt of {wildcards.task}/{wildcards.sample_type} for {wildcards.base_model}{wildcards.variant}"
    script:
        "../scripts/show_prompt.py"
