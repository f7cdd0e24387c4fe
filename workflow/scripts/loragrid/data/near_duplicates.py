"""Questions that are nearly the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from loragrid.data.questions import asked, normalise, says_little
from loragrid.records import Example, question
from loragrid.text.words import UNSPACED, compiled

FEWEST, LOOKED_INTO = 20, 200
"""The words of a template are looked for in about 200 examples. Among fewer than 20, nothing tells them from near duplicates."""


def near_duplicate_finder(threshold: float, examples: Sequence[Example] = ()) -> Callable[[Example], str | None]:
    """A function that gives the id of the earlier example that an example is nearly the same as; None if there is none.

    Questions are compared by the Jaccard similarity of their sets of three-word sequences, estimated with MinHash (Broder
    1997) in locality-sensitive hashing. The instruction counts only where there is no input, or one that says little, such as
    "none": often, all examples have the same. For the same reason, words that most examples have in common do not count.

    Args:
        examples: all examples, which tell what they have in common.
    """
    from datasketch import MinHash, MinHashLSH

    # The index only finds candidates. It cannot be made for the highest thresholds.
    index = MinHashLSH(threshold=min(threshold, 0.9), num_perm=128)
    sketches: dict[str, Any] = {}
    short = says_little(examples)

    def compared(example: Example) -> str:
        text = asked(example)
        return normalise(question(example)) if text in short else text

    common = _of_most([compared(example) for example in examples])

    def twin_of(example: Example) -> str | None:
        sequences = word_sequences(compared(example))
        # A question that has nothing of its own is compared as it is.
        sequences = [sequence for sequence in sequences if sequence not in common] or sequences
        if not sequences:
            return None
        sketch = MinHash(num_perm=128)
        sketch.update_batch([sequence.encode() for sequence in sequences])
        similar = {name: sketch.jaccard(sketches[name]) for name in sorted(index.query(sketch))}
        twin: str | None = max(similar, key=lambda name: similar[name], default=None)
        if twin is not None and similar[twin] >= threshold:
            return twin
        if example.id not in sketches:
            sketches[example.id] = sketch
            index.insert(example.id, sketch)
        return None

    return twin_of


def _of_most(texts: Sequence[str]) -> set[str]:
    """The sequences of words that more than half of different texts have, as a template puts them there."""
    different = list(dict.fromkeys(texts))
    if len(different) < FEWEST:
        return set()
    looked_into = different[:: -(-len(different) // LOOKED_INTO)]
    counts = Counter(sequence for text in looked_into for sequence in set(word_sequences(text)))
    return {sequence for sequence, count in counts.items() if 2 * count > len(looked_into)}


def word_sequences(text: str) -> list[str]:
    """The sequences of three words of a text, or the whole text if it has fewer.

    Words end at white space. Letters of scripts that are written without spaces count as words.
    """
    words: list[str] = compiled(rf"{UNSPACED}\p{{M}}*|(?:(?!{UNSPACED})\S)+").findall(text)
    return [" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))] if words else []
