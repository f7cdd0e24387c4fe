from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/config_files.smk"
include: "workflow/rules/terminal.smk"


configfile: "config/config.yaml"


include: "workflow/rules/inputs.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/targets.smk"


wildcard_constraints:
    **layout.CONSTRAINTS,


include: "workflow/rules/fetch_package.smk"
include: "workflow/rules/import_model.smk"
include: "workflow/rules/prepare_dataset.smk"
include: "workflow/rules/decontaminate.smk"
include: "workflow/rules/make_mix.smk"
include: "workflow/rules/tokenise.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/select_demonstrations.smk"
include: "workflow/rules/show_prompt.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/measure_likelihoods.smk"
include: "workflow/rules/import_predictions.smk"
include: "workflow/rules/predict_baseline.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/describe_model.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/export_log.smk"
include: "workflow/rules/human_sheet.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/check_merged.smk"
include: "workflow/rules/push.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/describe_data.smk"
include: "workflow/rules/cut_offs.smk"
include: "workflow/rules/learnt_prompts.smk"
include: "workflow/rules/track.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/summary.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/doubtful.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/prunable.smk"
include: "workflow/rules/prune.smk"
include: "workflow/rules/new.smk"


onstart:
    forget_finished()
    publish_plan()


onsuccess:
    forget_finished(ended=True)


onerror:
    forget_finished(ended=True)
    print(what_failed(), file=sys.stderr)


rule all:
    default_target: True
    input:
        *map(tier, TIERS),
        rules.describe_data.output,
        rules.analyse.output,
        rules.report.output,
    message:
        f"The whole grid is computed; read {own_place('report.html')}"


rule datasets:
    input:
        tier("datasets"),
    message:
        "All data sets are prepared"


rule mixes:
    input:
        tier("mixes"),
    message:
        "All mixes are made"


rule adapters:
    input:
        tier("adapters"),
    message:
        "All adapters are trained"


rule predictions:
    input:
        tier("predictions"),
    message:
        "All predictions are made"


rule probes:
    input:
        tier("probes"),
    message:
        "All models are probed for what they have forgotten"


rule likelihoods:
    input:
        tier("likelihoods"),
    message:
        "How likely texts are as answers is measured, where scorers read it"


rule checks:
    input:
        tier("checks"),
    message:
        "All checks are passed"


rule scores:
    input:
        tier("scores"),
    message:
        "All scores are computed"


rule prompts:
    input:
        prompts_shown,
    message:
        "How each task's prompts look is in results/prompts"


rule exports:
    input:
        exported_predictions,
    message:
        "All predictions are exported to results/exports"


rule human_sheets:
    input:
        annotators_sheets,
    message:
        f"The sheets of all annotators are in {own_place('human_sheets')}; save filled ones elsewhere"


rule merged:
    input:
        merged_models,
    message:
        "All merged models are in results/merged, checked"


rule pushed:
    input:
        pushed_models,
    message:
        f"All uploads are listed in {own_place('pushed')}"


rule tracked:
    input:
        scores_in_trackers,
    message:
        f"All scores and verdicts are in the trackers; {own_place('tracked.json')} lists them"
