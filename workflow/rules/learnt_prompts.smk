# On demand: nothing else reads it.
rule learnt_prompts:
    input:
        adapters=adapters_of_learnt_prompts,
        models=models_of_learnt_prompts,
    output:
        **makes(own(layout.LEARNT_PROMPTS)),
    log:
        own(layout.LEARNT_PROMPTS).log,
    benchmark:
        own(layout.LEARNT_PROMPTS).benchmark
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
    params:
        version=1,
        nearest=10,
    message:
        "List the tokens that learnt prompts are near to"
    script:
        "../scripts/learnt_prompts.py"
