"""What the columns of tables are called in the page, and what is said of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """What a reader is told of a column."""

    label: str
    kind: str = "text"
    help: str = ""
    digits: int | None = None
    tells_apart: bool = False
    """Whether the column names what a row is about: needless where all rows have the same value."""


def _name(label: str, help: str = "", kind: str = "text") -> Words:
    return Words(label, kind, help, None, True)


def _number(label: str, help: str = "", digits: int = 3) -> Words:
    return Words(label, "number", help, digits)


def _count(label: str, help: str = "") -> Words:
    return Words(label, "integer", help)


AXES_IN_WORDS: Mapping[str, Words] = {
    "base_model": _name("base model", "The model that was trained, or asked as it is."),
    "task": _name("task", "The task whose test questions were asked."),
    "sample_type": _name("references", "The sample type of the references that answers were compared with."),
    "trained_task": _name("trained for", "The task that the model was trained for."),
    "trained_sample_type": _name("trained on", "The sample type of the examples that the model was trained on."),
    "mix": _name("mix", "What the training examples were mixed of."),
    "nb_samples": _name("examples", "Training examples of the task itself.", "integer"),
    "config": _name("config", "The training configuration."),
    "loss_computation": _name("loss on", "The tokens that the loss is computed on."),
    "prompting": _name("prompting", "How the question was turned into a prompt."),
    "prompt_variant": _name("prompt", "The prompt variant of the task."),
    "decoding": _name("decoding", "How the tokens of the answer were chosen."),
}
"""The axes by which the page filters, in their order. The seed is none of them."""


WORDS: Mapping[str, Words] = {
    **AXES_IN_WORDS,
    "label": _name("model", "The axes in which models differ."),
    "way": _name("way", "A run's name without its seed; base; or the name of a baseline or of answers from elsewhere.", "code"),
    "other_way": _name("other way", "", "code"),
    "run": _name("run", "The name of one training; base for the untrained model.", "code"),
    "seed": _name("seed", "The training seed.", "integer"),
    "scorer": _name("scorer"),
    "metric": _name("metric"),
    "metric_name": _name("metric", "The scorer and its metric.", "code"),
    "lower_is_better": Words("less is better"),
    "mean": _number("mean", "Over test questions, and over training seeds. The interval holds at 95 %."),
    "other_mean": _number("other mean", "The mean of what it is compared with."),
    "difference": Words("difference", "signed", "With its interval. Coloured only where it is decided.", 3),
    "standard_error": _number("standard error"),
    "freedom": _number("degrees of freedom", "Of the standard error, as estimated.", 1),
    "p_value": _number("p", "Of no difference.", 4),
    "p_adjusted": _number("adjusted p", "For the family, or for the share of false discoveries in the metric.", 4),
    "level": Words("level", "percent", "At which the interval holds: all of a family together at 95 %."),
    "low": _number("low"),
    "high": _number("high"),
    "n": _count("questions", "Test questions."),
    "clusters": _count("clusters", "Groups of questions that are not independent."),
    "seeds": _count("seeds", "Training seeds; 0: nothing was trained, 1: it is about this one training."),
    "nb_answers": _count("answers"),
    "nb_failed": _count("failed", "Scores that failed; how they count is said in docs/results.md."),
    "other_nb_failed": _count("other failed"),
    "nb_cut_off": _count("cut off", "Answers that reached the length limit."),
    "other_nb_cut_off": _count("other cut off"),
    "nb_truncated": _count("truncated", "Questions with texts that were too long for the scorer's model."),
    "failure": Words("why failed", "text", "The most frequent reason."),
    "of_questions": _number("variance of questions", "The variance of one answer by its question.", 5),
    "of_seeds": _number("variance of seeds", "The variance of one answer by its seed.", 5),
    "of_both": _number("variance of both", "Of question and seed together.", 5),
    "of_samples": _number("variance of samples", "Between samples of one answer.", 5),
    "method": Words("method", "text", "How the interval was made."),
    "baseline": Words("best baseline", "text", "The best trivial baseline on the same questions."),
    "baseline_mean": _number("best baseline", "The mean of the best trivial baseline on the same questions."),
    "standing": Words("standing", "text", "How it stands to the best way there; empty if it is worse."),
    "axis": _name("differing in", "The axis in which both ways differ; training: fine-tuned against the base model."),
    "kind": _name("kind", "difference, slope over doublings of the examples, or interaction of two axes."),
    "own": Words("this"),
    "other": Words("against"),
    "other_sample_type": _name("other references"),
    "tasks": _name("mean over", "The tasks of a mean over several."),
    "family": _name("family", "Verdicts of a declared family hold together; the others are exploratory."),
    "verdict": Words("verdict", "verdict", "better, worse, equivalent or undecided; empty: too little data."),
    "sentence": Words("in a sentence"),
    "detectable": _number("could have seen", "A difference that would have been seen with 80 % probability; empty: none would."),
    "smallest_difference": _number("what matters", "The smallest difference that matters, as configured."),
    "needed_questions": _count("questions to decide", "So many questions would decide it, or the seeds beside."),
    "needed_seeds": _count("seeds to decide"),
    "base_mean": _number("base mean", "The base model's mean on the same questions."),
    "mean_difference": Words("difference", "signed", "From the base model.", 3),
    "better": _count("better"),
    "equal": _count("equal"),
    "worse": _count("worse"),
    "runs": _count("trainings"),
    "by": _name("chosen by", "What decided, on validation examples."),
    "ways": _count("among", "How many ways there were to choose from."),
    "chosen": Words("chosen"),
    "validation_mean": _number("on validation"),
    "validation_n": _count("validation examples"),
    "ties": _count("ties"),
    "note": Words("note"),
    "chosen_mean": _number("its test result"),
    "best_by_test": Words("best by test"),
    "best_mean": _number("its result"),
    "best_ties": _count("ways with that"),
    "optimism": _number("optimism", "How much better the best by test looks; a part of it is luck with these questions."),
    "key": _name("key"),
    "group": Words("group"),
    "other_scorer": _name("other scorer"),
    "other_metric": _name("other metric"),
    "other_kind": _name("other kind"),
    "scope": _name("scope", "Within questions, over all answers, or between the means of ways."),
    "coefficient": _name("coefficient"),
    "value": _number("value"),
    "answers": _count("answers"),
    "questions": _count("questions"),
    "at_equal_length": Words("at equal length", "signed", "Had the answers been as long as the base model's.", 3),
    "slope": _number("by length", "Change of the score with the length.", 5),
    "characters": _number("characters", "Mean length of the answers.", 0),
    "base_characters": _number("base characters", "Mean length of the base model's answers.", 0),
    "longer": Words("longer", "percent", "The share of questions with a longer answer."),
    "people": _name("people"),
    "criterion": _name("criterion"),
    "percent_agreement": _number("equal ratings, %", "", 0),
    "kappa": _number("kappa", "Cohen's: 1 for full agreement, 0 for what chance alone would give."),
    "mean_kappa": _number("kappa", "Cohen's, the mean over pairs of annotators."),
    "alpha": _number("alpha", "Krippendorff's: 1 for full agreement, 0 for what chance alone would give."),
    "ratings": _count("ratings"),
    "annotators": _count("annotators"),
    "items": _count("answers", "Answers that several annotators rated."),
    "rated": _count("rated"),
    "asked": _count("asked", "Rows of all sheets."),
    "judged": _count("judged"),
    "against": Words("against"),
    "judge_mean": _number("scorer's mean"),
    "people_mean": _number("people's mean", "Of the rated answers alone."),
    "corrected_mean": _number(
        "corrected mean", "What people would have said on average of all answers, if the rated ones were chosen at random."
    ),
    "weight": _number("weight"),
    "worth": _number("worth", "So many ratings would have told as much without the scorer.", 0),
    "batch_size": _count("batch", "The most prompts that were answered together."),
    "examples_asked": _count("examples"),
    "generation_s": Words("computing", "seconds"),
    "s_per_example": Words("per example", "seconds", "Seconds of computing, shared out evenly among the prompts of a batch.", 2),
    "wait_s": Words("wait", "seconds", "How long a prompt waited for its turn, on average.", 2),
    "answer_s": Words("answer", "seconds", "How long an answer then took, on average.", 2),
    "new_tokens": _count("new tokens"),
    "prompt_tokens": _count("prompt tokens"),
    "tokens_per_s": _number("tokens / s", "New tokens in a second of computing.", 1),
    "share_cut_off": Words("cut off", "percent", "The share of answers that reached the length limit."),
    "cost_per_1000": _number("cost of 1,000", "Of 1,000 examples, by the configured price.", 2),
    "calls": _count("calls"),
    "cost": _number("cost", "", 4),
    "examples": _count("examples"),
    "input_cut": _count("input cut", "Training examples whose input was cut to fit."),
    "dropped": _count("dropped"),
    "tokens": _count("tokens"),
    "training_s": Words("training", "seconds", "The loop itself, validation included."),
    "job_s": Words("job", "seconds", "With starting up, loading and saving."),
    "peak_memory_mb": _number("peak memory, MiB", "", 0),
    "peak_gpu_memory_mb": _number("peak GPU memory, MiB", "", 0),
    "split": _name("split"),
    "reasons": Words("why dropped"),
    "leaks": _count("in a test set", "Examples that ask a question of a test set of the grid: mixes leave them out."),
    "own_leaks": _count("in its own", "Of its own test set: no prompt shows them, and no baseline learns from them."),
    "cut": Words("of a share", "text", "What came of a split that is a share of the data."),
    "mix_seed": _name("mix seed", "", "integer"),
    "part": _name("part"),
    "component": _name("component"),
    "left_out_because_tested": _count("left out", "Because a test set holds them."),
    "why": Words("why"),
    "of": _name("of"),
    "field": _name("field"),
    "unit": _name("unit"),
    "tokenizer": _name("tokenizer"),
    "min": _count("shortest"),
    "median": _number("median", "", 1),
    "max": _count("longest"),
}
"""What columns are called, by their names in the tables' files."""


def estimates_of(columns: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The columns that have the ends of an interval beside them, named `…_low` and `…_high`."""
    found = {str(name): (f"{name}_low", f"{name}_high") for name in columns}
    return {name: ends for name, ends in found.items() if ends[0] in columns and ends[1] in columns}
