"""Folders of models under a storage. A storage holds only the files that rules name."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from loragrid.runtime.files import file_sha256
from loragrid.runtime.manifests import known_hashes, refuse_other_content

OTHER_FILES = "other_files.tar"


NOT_READ = frozenset({"manifest.json", "loss.csv", "README.md", OTHER_FILES})
"""Files of a model's folder that nobody reads who loads the model."""


_assembled: dict[tuple[str, int, int], tempfile.TemporaryDirectory[str]] = {}
"""Folders that are deleted when the process ends, by what they were made of: the archive, its size and its time of change."""


def archive_others(folder: Path, named: Iterable[str | Path]) -> None:
    """Put those files of a model's folder that no rule names into an archive beside them. The same files give the same bytes.

    Args:
        named: the files that are left out; only their names count.
    """
    left_out = {Path(file).name for file in named}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).as_posix() not in left_out)
    with tarfile.open(folder / OTHER_FILES, "w") as archive:
        for path in files:
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            with open(path, "rb") as content:
                archive.addfile(entry, content)


def whole_folder(file: str | Path) -> Path:
    """The folder of a model's file. Where other files are in an archive: a temporary folder of the same name with all files.

    The archive is not unpacked where it lies: jobs share that folder, and files of another version of the model would stay there.
    """
    folder = Path(file).parent
    if not (folder / OTHER_FILES).exists():
        return folder
    archived = (folder / OTHER_FILES).stat()
    made_of = (str(folder.absolute()), archived.st_size, archived.st_mtime_ns)
    if made_of not in _assembled:
        temporary = tempfile.TemporaryDirectory(prefix="loragrid-model-")
        _unpack(folder, Path(temporary.name) / folder.name)
        _assembled[made_of] = temporary
    return Path(_assembled[made_of].name) / folder.name


def _unpack(folder: Path, whole: Path) -> None:
    whole.mkdir()
    with tarfile.open(folder / OTHER_FILES) as archive:
        archive.extractall(whole, filter="data")
    for path in folder.iterdir():
        if path.is_file() and path.name != OTHER_FILES and not (whole / path.name).exists():
            (whole / path.name).symlink_to(path.absolute())


def content_of_model(folder: Path, besides: Collection[str] = ()) -> dict[str, str]:
    """The hashes of all files of a model's folder that may be read where the model is loaded, by name.

    Args:
        besides: files that are left out, because they are hashed elsewhere.

    Raises:
        DamagedError: if a file is not as it was written, by the manifest beside it.
    """
    names = _read_files(folder)
    hashes = {name: file_sha256(path) for name, path in names.items() if name not in besides}
    manifest = folder / "manifest.json"
    stated = known_hashes(manifest)
    for name in hashes.keys() & stated.keys():
        refuse_other_content(names[name], stated[name], manifest, hashes[name])
    return hashes


def stated_content(folder: Path) -> dict[str, list[str | int]]:
    """What `content_of_model` would find, as the manifest beside the files says: their hashes, and their sizes in bytes.

    Files that the manifest does not name are hashed. Nobody may compute with a model of which only this is known.
    """
    stated = known_hashes(folder / "manifest.json")
    names = _read_files(folder)
    return {name: [stated.get(name) or file_sha256(path), path.stat().st_size] for name, path in names.items()}


def _read_files(folder: Path) -> dict[str, Path]:
    """The files of a model's folder that may be read where the model is loaded, by name."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path
        for name, path in sorted(names.items())
        if name not in NOT_READ and not any(part.startswith(".") for part in name.split("/"))
    }
