rule fetch_package:
    output:
        **makes(layout.FETCH_PACKAGE),
    log:
        layout.FETCH_PACKAGE.log,
    benchmark:
        layout.FETCH_PACKAGE.benchmark
    localrule: True
    conda:
        "../../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
    params:
        version=1,
    message:
        "Download package {wildcards.package}"
    script:
        "../scripts/fetch_package.py"
