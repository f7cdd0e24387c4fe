"""The plan of a grid as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap

from loragrid.planning.estimates import FLOPS, GPU_FLOPS
from loragrid.planning.plan import Machine, Plan, Row, summed

HEADINGS = ("jobs", "done", "to do", "tokens", "new", "time", "GB peak", "asked", "rests on")

WIDTH = 100
"""Letters in a line, at most."""


def describe(
    plan: Plan, basis: Mapping[str, Iterable[str]], parameters: Mapping[str, tuple[float, str]], machine: Machine
) -> str:
    """The plan as text, at most 100 characters wide.

    Args:
        basis: names of data sets, by the basis of their tokens.
        parameters: of each base model, with their source.
    """
    whole = summed(plan.rows, "total")
    by_rule = [
        summed((row for row in plan.rows if row.rule == rule), rule) for rule in dict.fromkeys(row.rule for row in plan.rows)
    ]
    by_model = [
        summed((row for row in plan.rows if row.base_model == name), base_model=name)
        for name in parameters
        if any(row.base_model == name for row in plan.rows)
    ]
    lines = [f"{whole.jobs:,} jobs in the grid: {whole.done:,} are done and up to date, {whole.to_do:,} are to do.", ""]
    lines += _table("rule", [(row.rule, row) for row in [*by_rule, whole]])
    if by_model:
        lines += ["", *_table("base model", [(row.base_model, row) for row in by_model])]
    lines += ["", "new: tokens of answers, learnt or generated; GB: highest that is recorded, and what a job asks for."]
    if whole.to_do:
        on_gpus = f" and {machine.gpus} GPU{'s' * (machine.gpus != 1)}" if machine.gpus else ""
        lines.append(f"Together {duration(whole.hours * 3600)} of computing;")
        lines[-1] += f" with {machine.at_once} at a time{on_gpus} about {duration(plan.wall_s)} on the clock."
    lines += _costs(plan.rows)
    return "\n".join([*lines, *_grounds(plan.rows, basis, parameters)])


def folded(lines: Iterable[str]) -> list[str]:
    """Lines that are too wide, as several."""
    parts = (wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False) for line in lines)
    return [part for of_line in parts for part in of_line or [""]]


def _table(heading: str, named: Sequence[tuple[str, Row]]) -> list[str]:
    cells: list[tuple[str, ...]] = [(heading, *HEADINGS)]
    for name, row in named:
        peak, asked = (gigabytes(value) if value else "-" for value in (row.peak_mb, row.mem_mb))
        memory = (peak, asked) if name != "total" else ("", "")
        counts = [amount(value) if value else "-" for value in (row.tokens, row.new_tokens)]
        time = duration(row.hours * 3600) if row.to_do else "-"
        cells.append((name, f"{row.jobs:,}", f"{row.done:,}", f"{row.to_do:,}", *counts, time, *memory, _basis(row)))
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _basis(row: Row) -> str:
    """What the time of a row rests on."""
    if row.basis == "recorded":
        return f"{row.records:,} job{'s' * (row.records != 1)}"
    return f"{row.hours_recorded / row.hours:.0%} recorded" if row.hours_recorded else row.basis


def _costs(rows: Iterable[Row]) -> list[str]:
    rows = list(rows)
    judged, asked = [row for row in rows if row.requests], [row for row in rows if row.cost and not row.requests]
    lines = []
    if judged:
        total = summed(judged)
        price = f", {total.cost:,.2f} by their price" if total.cost else ""
        lines.append(f"Judges: at most {total.requests:,.0f} requests with {amount(total.tokens)} tokens{price}.")
    if asked:
        lines.append(f"Base models: {summed(asked).cost:,.2f} by their price.")
    return lines


def _grounds(rows: Iterable[Row], basis: Mapping[str, Iterable[str]], parameters: Mapping[str, tuple[float, str]]) -> list[str]:
    """What the estimate rests on."""
    to_do = [row for row in rows if row.to_do]
    if not to_do:
        return []
    return [
        "",
        "What this rests on:",
        *_grounds_of_tokens(basis),
        *_grounds_of_times(to_do),
        *_grounds_of_sizes(to_do, parameters),
    ]


def _grounds_of_tokens(basis: Mapping[str, Iterable[str]]) -> list[str]:
    texts = {
        "tokens": "counted",
        "characters": "a fourth of the characters; they are not tokenised yet",
        "guess": "a first guess; they are not prepared yet",
    }
    datasets = {name: list(basis.get(name, ())) for name in texts}
    return [
        f"  tokens of {len(names)} data set{'s' * (len(names) != 1)}: {texts[name]}" for name, names in datasets.items() if names
    ]


def _grounds_of_times(to_do: Sequence[Row]) -> list[str]:
    lines = []
    if any(row.basis == "recorded" for row in to_do):
        lines.append("  times: recorded jobs of the same kind, where there are some (results/benchmarks)")
    if any(row.basis == "other model" for row in to_do):
        lines.append("  times of a base model without recorded jobs: those of others, in proportion to parameters")
    if guessed := [row for row in to_do if row.basis == "first guess"]:
        lines.append("  first guess: can be wrong by a factor of ten; run a few jobs, then plan again")
        if any(row.tokens and not row.requests for row in guessed):
            speeds = f"{FLOPS / 1e9:,.0f} GFLOP/s a thread, {GPU_FLOPS / 1e9:,.0f} a GPU"
            lines.append(f"  guessed training and prediction: parameters x tokens at {speeds}")
    return lines


def _grounds_of_sizes(to_do: Sequence[Row], parameters: Mapping[str, tuple[float, str]]) -> list[str]:
    lines = []
    for name, (size, source) in parameters.items():
        if any(row.base_model == name and row.basis != "recorded" for row in to_do):
            stated = f"unknown, taken as {amount(size)}" if source == "guess" else f"{amount(size)} (from its {source})"
            lines.append(f"  parameters of {name}: {stated}")
    return lines


def amount(number: float) -> str:
    """A count in three digits: thousands (k), millions (M), billions (G) or trillions (T)."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            value = number / size
            return f"{value:.2f}{unit}" if value < 9.995 else f"{value:.1f}{unit}" if value < 99.95 else f"{value:,.0f}{unit}"
    return f"{number:.0f}"


def gigabytes(megabytes: float) -> str:
    """Memory in GB, of 1,000 MB."""
    return f"{megabytes / 1000:,.1f}" if megabytes >= 50 else "<0.1"


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, in two digits or more."""
    for least, size, unit in ((3 * 86400, 86400, "d"), (3600, 3600, "h"), (59.5, 60, "min")):
        if seconds >= least:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"
    return f"{seconds:.0f} s"
