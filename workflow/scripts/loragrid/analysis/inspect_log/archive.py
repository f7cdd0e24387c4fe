"""Files of the form `.eval`: an archive with a header, all summaries, and a file for each sample."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from loragrid.analysis.inspect_log.samples import make_summary
from loragrid.runtime.files import written_whole

# The first day that the format knows: an archive made again has the same bytes.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_archive(path: str | Path, header: Mapping[str, Any], samples: Iterable[Mapping[str, Any]]) -> None:
    """Write a log, whole or not at all."""
    summaries = []
    with written_whole(path) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
        for sample in samples:
            _add(archive, f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
            summaries.append(make_summary(sample))
        _add(archive, "summaries.json", summaries)
        _add(archive, "header.json", header)


def _add(archive: ZipFile, name: str, value: Any) -> None:
    entry = ZipInfo(name, _NO_TIME)
    entry.compress_type = ZIP_DEFLATED
    archive.writestr(entry, json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
