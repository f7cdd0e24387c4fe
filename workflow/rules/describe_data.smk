rule describe_data:
    input:
        datasets=tier("datasets", ".jsonl"),
        dataset_manifests=tier("datasets", "manifest.json"),
        mixes=tier("mixes", ".jsonl"),
        mix_manifests=tier("mixes", "manifest.json"),
        tokens=tier("tokens"),
    output:
        data_sets="results/tables/data_sets.csv",
        mixes="results/tables/mixes.csv",
        lengths="results/tables/lengths.csv",
        figure="results/figures/lengths.svg",
        figure_png="results/figures/lengths.png",
    log:
        "results/logs/describe_data.log",
    benchmark:
        "results/benchmarks/describe_data.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        version=1,
    message:
        "Count and measure the data"
    script:
        "../scripts/describe_data.py"
