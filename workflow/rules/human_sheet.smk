rule human_sheet:
    input:
        unpack(reads(inputs.human_sheet)),
    output:
        **makes(own(layout.HUMAN_SHEET)),
    log:
        own(layout.HUMAN_SHEET).log,
    benchmark:
        own(layout.HUMAN_SHEET).benchmark
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
    params:
        **told(settings.human_sheet, version=1),
    message:
        "Write the sheet of {wildcards.annotator} for human evaluation {wildcards.evaluation}"
    script:
        "../scripts/human_sheet.py"
