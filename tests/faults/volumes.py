"""A small file system of a project's results, which becomes full or read-only. Only root may mount one."""

import subprocess
import time
from pathlib import Path

MEGABYTES = 96
FILLED = 2**20


class Volume:
    """Results on a file system in memory, until it is closed."""

    def __init__(self, folder: Path, results: Path) -> None:
        """Mount it.

        Raises:
            OSError: where that is not allowed.
        """
        self.disk, self.results = folder / "disk", results
        self.disk.mkdir()
        self._mounted: list[Path] = []
        mount("-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(self.disk))
        self._mounted.append(self.disk)
        (self.disk / "results").mkdir()
        results.mkdir(exist_ok=True)
        try:
            mount("--bind", str(self.disk / "results"), str(results))
        except OSError:
            self.close()
            raise
        self._mounted.append(results)

    def fill(self) -> None:
        """Leave no byte free. What has its place keeps it."""
        with open(self.disk / "filler", "ab", buffering=0) as file:
            for size in (FILLED, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Undo `fill`."""
        (self.disk / "filler").unlink(missing_ok=True)

    def forbid_writing(self, patience_s: float = 3) -> bool:
        """Make it read-only, as soon as no file is open for writing. Returns whether that happened."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            try:
                mount("-o", "remount,ro,bind", str(self.results))
                return True
            except OSError:
                time.sleep(0.01)
        return False

    def allow_writing(self) -> None:
        """Undo `forbid_writing`."""
        mount("-o", "remount,rw,bind", str(self.results))

    def close(self) -> None:
        """Unmount it; what it holds is lost."""
        for place in reversed(self._mounted):
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        self._mounted.clear()


def mount(*arguments: str) -> None:
    """Run `mount`.

    Raises:
        OSError: if it fails, or if there is no such program.
    """
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())
