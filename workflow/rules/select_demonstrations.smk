rule select_demonstrations:
    input:
        unpack(retrieval_encoder),
        train=rules.prepare_dataset.output.train,
        test=rules.prepare_dataset.output.test,
    output:
        "results/demonstrations/{task}/{sample_type}/{prompting}.json",
    log:
        "results/logs/demonstrations/{task}/{sample_type}/{prompting}.log",
    benchmark:
        "results/benchmarks/demonstrations/{task}/{sample_type}/{prompting}.jsonl"
    priority: BEFORE_SCORES
    conda:
        "../../envs/score.yaml"
    threads: 1
    resources:
        **gpus("score"),
        mem_mb=sized("score", "mem_mb", 2000),
        runtime=sized("score", "runtime", 60),
    params:
        version=1,
        prompting=lambda wildcards: CONFIG.prompting(wildcards.prompting).model_dump(),
    message:
        "Select demonstrations of {wildcards.task}/{wildcards.sample_type} for {wildcards.prompting}"
    script:
        "../scripts/select_demonstrations.py"
