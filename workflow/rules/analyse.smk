rule analyse:
    input:
        predictions=tier("predictions", ".jsonl"),
        scores=tier("scores"),
        losses=tier("adapters", "loss.csv"),
        manifests=tier("adapters", "manifest.json"),
        tests=tier("datasets", "test.jsonl"),
        chosen_by=tier("datasets", "validation.jsonl") if CONFIG.selection else [],
        leaks=tier("leaks") if CONFIG.selection else [],
        probes=tier("probes"),
    output:
        **draws("analyse"),
    log:
        own(layout.ANALYSE).log,
    benchmark:
        own(layout.ANALYSE).benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        # Tables are about ten times as large in memory as their files.
        mem_mb=lambda wildcards, input, attempt: (2000 + int(10 * input.size_mb)) * attempt,
    params:
        version=8,
        settings=settings.analyse(GRID).model_dump(),
    message:
        "Make tables and figures"
    script:
        "../scripts/analyse.py"
