"""PDF documents with the same bytes for the same figure.

vl-convert 1.9 writes fonts, and the names of resources, in an order that is another one each time.
"""

from __future__ import annotations

import re

_STREAM = b"\nstream\n"
_REFERENCE = re.compile(rb"\b(\d+) 0 R\b")
_RESOURCES = re.compile(rb"<<\n((?: +/[a-z]+\d+ \d+ 0 R\n)+)( +>>)")


def in_order(pdf: bytes) -> bytes:
    """The same document, its objects numbered and written in the order in which they are first referred to.

    Args:
        pdf: as vl-convert writes it: with one table of offsets, and no object inside of another's stream.
    """
    start = int(re.findall(rb"startxref\n(\d+)", pdf)[-1])
    places = {number: place for number, place in enumerate(_offsets(pdf[start:])) if place is not None}
    in_file = sorted(places, key=lambda number: places[number])
    ends = [*(places[number] for number in in_file[1:]), start]
    bodies = {number: _ordered(pdf[places[number] : end]) for number, end in zip(in_file, ends, strict=True)}
    trailer = pdf[pdf.index(b"trailer", start) :].partition(b"startxref")[0]
    numbers = _numbers(trailer, bodies)
    written = bytearray(pdf[: places[in_file[0]]])
    table = [b"0000000000 65535 f\r\n"]
    for number, new in numbers.items():
        table.append(b"%010d 00000 n\r\n" % len(written))
        written += b"%d 0 obj" % new + _renumbered(bodies[number], numbers).partition(b" 0 obj")[2]
    size = len(numbers) + 1
    new_trailer = re.sub(rb"/Size \d+", b"/Size %d" % size, _renumbered(trailer, numbers))
    return bytes(written) + b"xref\n0 %d\n" % size + b"".join(table) + new_trailer + b"startxref\n%d\n%%%%EOF" % len(written)


def _offsets(table: bytes) -> list[int | None]:
    """Where each object is, by its number; None where there is none."""
    return [int(place) if kind == b"n" else None for place, kind in re.findall(rb"(\d{10}) \d{5} ([nf])", table)]


def _ordered(body: bytes) -> bytes:
    """An object with the names of its resources in order."""

    def ordered(found: re.Match[bytes]) -> bytes:
        return b"<<\n" + b"".join(sorted(found[1].splitlines(keepends=True))) + found[2]

    head, mark, stream = body.partition(_STREAM)
    return _RESOURCES.sub(ordered, head) + mark + stream


def _numbers(trailer: bytes, bodies: dict[int, bytes]) -> dict[int, int]:
    """The new number of each object that is referred to, by its old one, in order."""
    found: dict[int, int] = {}
    waiting = [trailer]
    while waiting:
        head = waiting.pop(0).partition(_STREAM)[0]
        for number in map(int, _REFERENCE.findall(head)):
            if number not in found:
                found[number] = len(found) + 1
                waiting.append(bodies[number])
    return found


def _renumbered(body: bytes, numbers: dict[int, int]) -> bytes:
    head, mark, stream = body.partition(_STREAM)
    return _REFERENCE.sub(lambda found: b"%d 0 R" % numbers[int(found[1])], head) + mark + stream
