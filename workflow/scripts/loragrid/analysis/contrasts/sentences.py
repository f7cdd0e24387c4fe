"""One sentence for each verdict: what was compared, how far it goes, on how much, and what would decide it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from loragrid.analysis.columns import ASKED
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.contrasts.conclusions import Conclusion
from loragrid.analysis.contrasts.pairs import Contrast
from loragrid.analysis.contrasts.verdicts import Verdict
from loragrid.analysis.contrasts.ways import Way
from loragrid.layout import BASE, BASELINE, EXTERNAL, USUAL

NAMED = {
    "base_model": "{}",
    "trained_task": "training on {}",
    "trained_sample_type": "training on {}",
    "mix": "mix {}",
    "nb_samples": "{} training examples",
    "config": "config {}",
    "loss_computation": "{} loss",
    "prompting": "prompting {}",
    "prompt_variant": "prompt {}",
    "decoding": "decoding {}",
}
"""How a sentence names a value of an axis."""


DIFFERING = {
    "training": "fine-tuning",
    "base_model": "base model",
    "trained_task": "task trained for",
    "trained_sample_type": "sample type trained on",
    "mix": "mix",
    "nb_samples": "number of training examples",
    "config": "config",
    "loss_computation": "tokens of the loss",
    "prompting": "prompting",
    "prompt_variant": "prompt",
    "decoding": "decoding",
}
"""What both sides of a contrast differ in, in words."""


PARTS = ("base_model", *TRAINED, *ASKED)


def varying_axes(ways: Iterable[Way]) -> set[str]:
    """The axes in which ways differ: only these need to be named. Base models count also where nothing is trained."""
    ways = list(ways)
    trained = [way for way in ways if way.is_trained] or ways
    varying = {axis for axis in PARTS if len({getattr(way, axis) for way in trained}) > 1}
    models = {way.base_model for way in ways} - {BASELINE, EXTERNAL}
    return varying | {"base_model"} if len(models) > 1 else varying


def sentence(one: Conclusion, varying: Collection[str]) -> str:
    """The sentence about a verdict.

    Args:
        varying: the axes to name.
    """
    return f"{where(one, varying)}: {claim(one)}; {grounds(one)}.{outlook(one)}"


def where(one: Conclusion, varying: Collection[str]) -> str:
    """The questions, and what both ways have in common."""
    contrast, way = one.found.contrast, one.found.contrast.first
    task = f"mean over {', '.join(one.found.tasks)}" if one.found.tasks else way.task
    other = contrast.minus[0][1]
    references = f"references {way.sample_type}" if way.sample_type == other.sample_type else "each with its own references"
    differing = contrast.axis.split("*")
    common = [
        NAMED[axis].format(value)
        for axis in PARTS
        if axis not in differing and (value := getattr(way, axis)) is not None and (axis in varying or _is_unusual(axis, value))
        if not (axis == "trained_task" and (value == way.task or one.found.tasks))
    ]
    if way.way == BASE and contrast.axis in ASKED:
        common.append("base model alone")
    return f"{task} ({references}{''.join(f', {part}' for part in common)})"


def _is_unusual(axis: str, value: object) -> bool:
    return axis in ASKED and value != USUAL[ASKED.index(axis)]


def claim(one: Conclusion) -> str:
    """What the data say."""
    metric, value, low, high = one.found.name, one.estimate.value, one.estimate.low, one.estimate.high
    better, worse, both = _phrases(one.found.contrast)
    interval = f"difference {signed(value)}, {percent(one.level)} interval {signed(low)} to {signed(high)}"
    if math.isinf(high):
        interval = f"difference {signed(value)} everywhere, which leaves no spread to judge by"
    match one.verdict:
        case None:
            return f"too little data to compare {both} in {metric}"
        case Verdict.BETTER:
            return f"{better} in {metric} ({interval})"
        case Verdict.WORSE:
            return f"{worse} in {metric} ({interval})"
        case Verdict.EQUIVALENT:
            return f"{both} are equivalent in {metric}, within {number(one.smallest_difference)} ({interval})"
        case Verdict.UNDECIDED:
            many = f"; p is {number(one.p_adjusted)} for so many comparisons" if _leaves_out_0(one) else ""
            return f"undecided between {both} in {metric} ({interval}{many})"


def _leaves_out_0(one: Conclusion) -> bool:
    """Whether the interval is about one contrast alone, and would decide if there were no others."""
    return one.estimate.low > 0 or one.estimate.high < 0


def _phrases(contrast: Contrast) -> tuple[str, str, str]:
    """How it is said that the first side is better, that it is worse, and what both sides are."""
    if contrast.kind == "slope":
        each = "with each doubling of the training examples"
        return f"better {each}", f"worse {each}", "more and fewer training examples"
    if contrast.kind == "interaction":
        axis, across = contrast.axis.split("*")
        (own, at), (_, at_other) = (text.rsplit(" at ", 1) for text in (contrast.own, contrast.other))
        gains = [f"the gain of {own} ({axis}) at {across} {value}" for value in (at, at_other)]
        return (
            f"{gains[0]} is larger than at {at_other}",
            f"{gains[0]} is smaller than at {at_other}",
            f"{gains[0]} and at {at_other}",
        )
    own, other = sides(contrast)
    return f"better with {own} than with {other}", f"worse with {own} than with {other}", f"{own} and {other}"


def sides(contrast: Contrast) -> tuple[str, str]:
    """The names of both ways."""
    if contrast.axis == "training":
        return ("fine-tuning" if contrast.first.is_trained else contrast.own), "the base model alone"
    form = NAMED[contrast.axis]
    return form.format(contrast.own), form.format(contrast.other)


def grounds(one: Conclusion) -> str:
    """The scope of a claim, and on how much it rests."""
    estimate, contrast = one.estimate, one.found.contrast
    questions = counted(estimate.questions, "question")
    if estimate.clusters < estimate.questions:
        questions += f" in {counted(estimate.clusters, 'cluster')}"
    is_about_trainings = estimate.seeds == 1 and any(way.is_trained for way in contrast.ways)
    if is_about_trainings and estimate.freedom_of_seeds:
        # One way has several trainings, and the other has one.
        return f"for these trainings, {questions}"
    if is_about_trainings and len(one.found.tasks) > 1:
        return f"for one training of each task, {questions}"
    return f"{scope(contrast, estimate.seeds)}, {questions}"


def scope(contrast: Contrast, seeds: int) -> str:
    """What the claim is about: these trainings, or trainings of this kind."""
    trained = {way.way for way in contrast.ways if way.is_trained}
    if not trained:
        return "no training is involved"
    if seeds > 1:
        return f"over {seeds} training seeds"
    return "for this one training" if len(trained) == 1 else "for this one training of each"


def outlook(one: Conclusion) -> str:
    """What would decide an open case."""
    if one.verdict is None:
        return " More questions are needed for any verdict."
    if one.verdict is not Verdict.UNDECIDED or math.isinf(one.estimate.high):
        return ""
    parts = [f" A difference of {number(one.detectable)} would probably have been seen."] if one.detectable < math.inf else []
    decisive = [
        f"about {counted(amount, what)}"
        for amount, what in ((one.needed.questions, "question"), (one.needed.seeds, "training seed"))
        if amount
    ]
    if decisive and not _leaves_out_0(one):
        size = f"one of {number(one.smallest_difference)}" if one.smallest_difference > 0 else "one as large as this"
        parts.append(f" To see {size}, it takes {' or '.join(decisive)}.")
    return "".join(parts)


def counted(amount: int, what: str) -> str:
    """A number of things."""
    return f"{amount:,} {what}{'s' * (amount != 1)}"


def number(value: float) -> str:
    """A figure in three digits or more, without an exponent."""
    if not math.isfinite(value):
        return "any size"
    decimals = min(4, max(0, 2 - math.floor(math.log10(abs(value))))) if value else 3
    return f"{value:.{decimals}f}"


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"+{number(value)}" if value > 0 else number(value).replace("-", "\N{MINUS SIGN}")


def percent(level: float) -> str:
    """A level without needless digits."""
    return f"{100 * level:.1f}".removesuffix(".0") + " %"


def differing(axis: str) -> str:
    """What a contrast's sides differ in, in words; of an interaction, both axes."""
    return " × ".join(DIFFERING.get(part, part) for part in axis.split("*"))
