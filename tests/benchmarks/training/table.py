"""The result as a Markdown table."""

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any, NamedTuple

from contest import Contender
from load import CALM

TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}
"""How far the loss of the very first step may be from that of the same examples one by one."""
FLOP = 4
"""Operations of an adapter's training per token and parameter: two forward and two backward."""


Measured = Mapping[str, Any]
"""What `worker.train` tells."""


class Row(NamedTuple):
    """What one contender achieved in each round."""

    contender: Contender
    rounds: Sequence[Measured]

    @property
    def seconds(self) -> float:
        """The sum of the best times of every step."""
        return sum(min(times) for times in zip(*(measured["seconds"] for measured in self.rounds), strict=True))


class Contest(NamedTuple):
    """What all contenders achieved on one model."""

    model: str
    dtype: str
    device: str
    peaks: Sequence[float]
    """Operations per second of the best matrix product, before and after each round."""
    examples: Sequence[Mapping[str, Any]]
    rows: Sequence[Row]


HEADINGS = ("", "tokens/s", "× plain loop", "of peak", "of peak, needed only", "peak memory", "loss after", "same mathematics")
NOTES = """
tokens/s: of the examples, padding not counted. Of peak: 4 operations per parameter and token, of the measured peak. Needed only:
the same, but the output layer counted at learnt tokens only, since no other token needs it. What several prompts begin with counts
for each, though loragrid computes it once. Loss after: of the first examples, one by one, after one pass. Same mathematics: whether
the loss of the first step is that of its examples one by one.
"""


def markdown(contest: Contest) -> str:
    """Heading, table and notes."""
    plain = next((tokens_per_second(contest, row) for row in contest.rows if row.contender.function == "plain"), None)
    lines = [heading(contest), "", line(HEADINGS), line(["---", *["---:"] * 6, "---"])]
    lines += [line(cells(contest, row, plain)) for row in contest.rows]
    return "\n".join([*lines, NOTES])


def line(values: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(values)} |"


def heading(contest: Contest) -> str:
    """What was measured, and on what."""
    lengths = [len(example["ids"]) for example in contest.examples]
    learnt = sum(lengths) - sum(example["target_start"] for example in contest.examples)
    peaks = ", ".join(f"{rate / 1e9:.0f}" for rate in contest.peaks)
    untrained = contest.rows[0].rounds[0]["untrained_loss"]
    return (
        f"**{contest.model}**, {contest.dtype}, {contest.device}. {len(lengths)} examples of median {median(lengths):.0f}, mean "
        f"{mean(lengths):.0f} and at most {max(lengths)} tokens, {learnt / sum(lengths):.0%} of them learnt. Matrix products "
        f"before and after each round: {peaks} GFLOP/s. Loss before: {untrained:.4f}."
    )


def tokens_per_second(contest: Contest, row: Row) -> float:
    """Real tokens trained on per second."""
    return sum(len(example["ids"]) for example in contest.examples) / row.seconds


def cells(contest: Contest, row: Row, plain: float | None) -> list[str]:
    """The texts of one row."""
    rate, measured = tokens_per_second(contest, row), row.rounds[0]
    return [
        row.contender.title,
        f"{rate:.0f}",
        f"{rate / plain:.2f}" if plain else "",
        f"{rate * FLOP * measured['parameters'] / max(contest.peaks):.0%}",
        f"{needed_operations(contest, row) / row.seconds / max(contest.peaks):.0%}",
        f"{max(m['peak_bytes'] for m in row.rounds) / 1e9:.1f} GB",
        f"{measured['final_loss']:.4f}",
        verdict(row, TOLERANCE[contest.dtype]),
    ]


def needed_operations(contest: Contest, row: Row) -> float:
    """Operations of all matrix products with weights that training on the examples needs."""
    tokens = sum(len(example["ids"]) for example in contest.examples)
    learnt = tokens - sum(example["target_start"] for example in contest.examples)
    output = row.rounds[0]["output_parameters"]
    return FLOP * ((row.rounds[0]["parameters"] - output) * tokens + output * learnt)


def verdict(row: Row, tolerance: float) -> str:
    """Whether a contender computes what it should, as the loss of its first step shows; and what to know about its row."""
    first, expected = row.rounds[0]["first_loss"], row.rounds[0]["expected_first_loss"]
    same = "yes" if abs(first - expected) < tolerance else f"**no**: first loss {first:.3f} instead of {expected:.3f}"
    others = min(measured["others"] for measured in row.rounds)
    disturbed = f"**disturbed**: other programs took {others:.0%} of the processors" if others > CALM else ""
    return "; ".join(filter(None, [same, row.contender.note, disturbed]))
