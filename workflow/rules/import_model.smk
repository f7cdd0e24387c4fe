rule import_model:
    input:
        unpack(reads(inputs.import_model)),
    output:
        **makes(layout.IMPORT_MODEL),
    log:
        layout.IMPORT_MODEL.log,
    benchmark:
        layout.IMPORT_MODEL.benchmark
    priority: BEFORE_MODELS
    conda:
        "../../envs/infer.yaml"
    threads: 1
    resources:
        **gpus("import_model"),
        mem_mb=sized("import_model", "mem_mb", 4000),
        runtime=sized("import_model", "runtime", 60),
    params:
        **told(settings.import_model, version=1),
    message:
        "Import model {wildcards.base_model}"
    script:
        "../scripts/import_model.py"
