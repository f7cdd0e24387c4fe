"""Questions that are nearly the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loragrid.data.questions import asked
from loragrid.records import Example
from loragrid.text.words import UNSPACED, compiled


def near_duplicate_finder(threshold: float) -> Callable[[Example], str | None]:
    """A function that gives the id of the earlier example that an example is nearly the same as; None if there is none.

    Questions are compared by the Jaccard similarity of their sets of three-word sequences, estimated with MinHash (Broder
    1997) in locality-sensitive hashing. The instruction counts only where there is no input: often, all examples have the same.
    """
    from datasketch import MinHash, MinHashLSH

    # The index only finds candidates. It cannot be made for the highest thresholds.
    index = MinHashLSH(threshold=min(threshold, 0.9), num_perm=128)
    sketches: dict[str, Any] = {}

    def twin_of(example: Example) -> str | None:
        sequences = word_sequences(asked(example))
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


def word_sequences(text: str) -> list[str]:
    """The sequences of three words of a text, or the whole text if it has fewer.

    Words end at white space. Letters of scripts that are written without spaces count as words.
    """
    words: list[str] = compiled(rf"{UNSPACED}\p{{M}}*|(?:(?!{UNSPACED})\S)+").findall(text)
    return [" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))] if words else []
