rule human_sheet:
    input:
        unpack(rated_files),
    output:
        csv="results/human_sheets/{evaluation}/{annotator}.csv",
        xlsx="results/human_sheets/{evaluation}/{annotator}.xlsx",
    log:
        "results/logs/human_sheets/{evaluation}/{annotator}.log",
    benchmark:
        "results/benchmarks/human_sheets/{evaluation}/{annotator}.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        version=1,
        evaluation=lambda wildcards: CONFIG.human_evaluations[wildcards.evaluation].model_dump(),
    message:
        "Write the sheet of {wildcards.annotator} for human evaluation {wildcards.evaluation}"
    script:
        "../scripts/human_sheet.py"
