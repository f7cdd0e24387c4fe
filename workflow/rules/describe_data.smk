rule describe_data:
    input:
        datasets=tier("datasets", ".jsonl"),
        dataset_manifests=tier("datasets", "manifest.json"),
        mixes=tier("mixes", ".jsonl"),
        mix_manifests=tier("mixes", "manifest.json"),
        tokens=tier("tokens"),
        leaks=tier("leaks"),
    output:
        **draws("describe_data"),
    log:
        own(layout.DESCRIBE_DATA).log,
    benchmark:
        own(layout.DESCRIBE_DATA).benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=3,
    message:
        "Count and measure the data"
    script:
        "../scripts/describe_data.py"
