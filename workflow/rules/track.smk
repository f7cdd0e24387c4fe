rule track:
    input:
        scores=rules.analyse.output.scores_parquet,
        contrasts=rules.analyse.output.contrasts_parquet,
    output:
        **makes(own(layout.TRACK)),
    log:
        own(layout.TRACK).log,
    benchmark:
        own(layout.TRACK).benchmark
    conda:
        "../../envs/track.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
    params:
        **settings.track(GRID, version=1).model_dump(),
    message:
        f"Send scores and verdicts to {', '.join(CONFIG.trackers)}"
    script:
        "../scripts/track.py"
