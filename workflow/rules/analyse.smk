rule analyse:
    input:
        predictions=tier("predictions", ".jsonl"),
        scores=tier("scores"),
        losses=tier("adapters", "loss.csv"),
        manifests=tier("adapters", "manifest.json"),
        tests=tier("datasets", "test.jsonl"),
    output:
        scores="results/tables/scores.csv",
        scores_parquet="results/tables/scores.parquet",
        comparisons="results/tables/comparisons.csv",
        comparisons_parquet="results/tables/comparisons.parquet",
        groups="results/tables/groups.csv",
        groups_parquet="results/tables/groups.parquet",
        transfer="results/tables/transfer.csv",
        transfer_parquet="results/tables/transfer.parquet",
        predictions="results/tables/predictions.parquet",
        losses="results/tables/losses.csv",
        losses_parquet="results/tables/losses.parquet",
        training_costs="results/tables/training_costs.csv",
        prediction_costs="results/tables/prediction_costs.csv",
        agreement="results/tables/agreement.csv",
        scoring_costs="results/tables/scoring_costs.csv",
        learning_curves="results/figures/learning_curves.svg",
        learning_curves_png="results/figures/learning_curves.png",
        loss_curves="results/figures/loss_curves.svg",
        loss_curves_png="results/figures/loss_curves.png",
    log:
        "results/logs/analyse.log",
    benchmark:
        "results/benchmarks/analyse.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        # Tables are about ten times as large in memory as their files.
        mem_mb=lambda wildcards, input, attempt: (2000 + int(10 * input.size_mb)) * attempt,
    params:
        version=4,
        settings=analysis_settings(),
    message:
        "Make tables and figures"
    script:
        "../scripts/analyse.py"
