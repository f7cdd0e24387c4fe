rule fetch_package:
    output:
        "results/packages/{package}.{kind}",
    log:
        "results/logs/packages/{package}.{kind}.log",
    benchmark:
        "results/benchmarks/packages/{package}.{kind}.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
    params:
        version=1,
    message:
        "Download package {wildcards.package}"
    script:
        "../scripts/fetch_package.py"
