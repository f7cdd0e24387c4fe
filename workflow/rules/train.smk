rule train:
    input:
        unpack(reads(inputs.train)),
    output:
        **makes(layout.TRAIN),
    log:
        layout.TRAIN.log,
    benchmark:
        layout.TRAIN.benchmark
    priority: BEFORE_SCORES
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        **gpus("train"),
        mem_mb=sized("train", "mem_mb", 6000),
        runtime=sized("train", "runtime", 720),
        checkpoint_minutes=10,
        jobs_per_process=1 if QUEUED else 0,
    params:
        **told(settings.train, version=1),
    message:
        "Train {wildcards.run} on {wildcards.base_model}"
    script:
        "../scripts/train.py"


use rule train as train_full with:
    output:
        **makes(layout.TRAIN_FULL),
