"""Whether a file can be read as what its name says."""

from __future__ import annotations

import csv
import re
import tarfile
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from loragrid.analysis.page.packed import unpacked
from loragrid.errors import DamagedError
from loragrid.runtime.manifests import read_json

BLOCK = 2**20


def refuse_unreadable(path: Path) -> None:
    """Read all of a file as what the end of its name says.

    Raises:
        DamagedError: if it is something else, or not all of it is there.
    """
    if not path.is_file():
        raise DamagedError(path, "expected a file")
    ending = next(ending for ending in READERS if path.name.endswith(ending))
    try:
        READERS[ending](path)
    except DamagedError:
        raise
    except Exception as error:
        # Each library has its own words for bytes that it does not expect.
        said = str(error) or type(error).__name__
        raise DamagedError(path, f"it cannot be read as {ending.lstrip('.') or 'text'} ({said})") from None


def _as_text(path: Path) -> None:
    if not path.read_text(encoding="utf-8").strip():
        raise DamagedError(path, "it is empty")


def _as_table(path: Path) -> None:
    csv.field_size_limit(2**31 - 1)
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        header = next(rows, [])
        if not header:
            raise DamagedError(path, "it is empty")
        for row in rows:
            if len(row) != len(header):
                raise DamagedError(path, f"expected {len(header)} columns, found {len(row)}", line=rows.line_num)
    if not path.read_bytes().endswith(b"\n"):
        raise DamagedError(path, "its last line has no end")


def _as_parquet(path: Path) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for _ in file.iter_batches():
            pass


def _as_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise DamagedError(path, f"{damaged} in it is damaged")


def _as_tar(path: Path) -> None:
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            while content and content.read(BLOCK):
                pass


def _as_png(path: Path) -> None:
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise DamagedError(path, "it is no PNG")
    place = 8
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunk, stated = content[place + 4 : place + 8 + length], content[place + 8 + length : place + 12 + length]
        if zlib.crc32(chunk).to_bytes(4, "big") != stated:
            raise DamagedError(path, "a part of the picture is damaged or missing")
        place += 12 + length
        if chunk == b"IEND":
            return
    raise DamagedError(path, "the end of the picture is missing")


def _as_pdf(path: Path) -> None:
    content = path.read_bytes()
    if not content.startswith(b"%PDF-"):
        raise DamagedError(path, "it is no PDF")
    if not content.rstrip().endswith(b"%%EOF"):
        raise DamagedError(path, "the end of the document is missing")


def _as_page(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise DamagedError(path, "the end of the page is missing")


def _as_answers(path: Path) -> None:
    """Answers beside a report: what they say is compressed, with a check sum."""
    call = re.fullmatch(r'loragridAnswers\("[^"]*","([^"]*)"\);\n', path.read_text(encoding="ascii"))
    if call is None:
        raise DamagedError(path, "the end of the answers is missing")
    unpacked(call[1])


def _as_weights(path: Path) -> None:
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            weight = file.get_tensor(name)
            if weight.is_floating_point() and not bool(torch.isfinite(weight.float()).all()):
                raise DamagedError(path, f"there is NaN or infinity in {name}")


READERS: Mapping[str, Callable[[Path], object]] = {
    ".json": read_json,
    ".csv": _as_table,
    ".parquet": _as_parquet,
    ".svg": ET.parse,
    ".png": _as_png,
    ".pdf": _as_pdf,
    ".html": _as_page,
    ".js": _as_answers,
    ".safetensors": _as_weights,
    ".whl": _as_zip,
    ".xlsx": _as_zip,
    ".tar": _as_tar,
    ".tar.gz": _as_tar,
    "": _as_text,
}
"""How a file is read, by the end of its name."""
