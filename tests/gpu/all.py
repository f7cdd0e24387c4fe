"""Everything that needs a GPU, one part after another, each with its time: the tests, then the benchmarks.

`python tests/gpu/all.py --out FOLDER`; `--device cpu` tries the same with tiny shapes and stand-ins for kernels.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Part(NamedTuple):
    """A command, whose results are lines of JSON in a file."""

    name: str
    command: list[str]
    seconds: float
    """After them, it is ended."""


def parts_of(options: Namespace) -> list[Part]:
    """What is run. The benchmarks begin nothing new after their budget; what they have begun may take longer."""
    on_gpu, out = options.device == "cuda", options.out
    benchmarks = str(ROOT / "tests" / "benchmarks")
    shapes = "1b,8b" if on_gpu else "tiny"
    training = ["--number", "16", "--batches", "4", "--passes", "2"] if not on_gpu else []
    inference = ["--prompts", "8", "--batches", "4", "--new", "8", "--adapters", "2"] if not on_gpu else []
    tests = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "gpu"), "-q", "-p", "no:cacheprovider"]
    parts = [Part("tests", tests, 170)]
    for name, more, seconds in (("training", training, 250), ("inference", inference, 130)):
        command = [sys.executable, f"{benchmarks}/{name}", "--device", options.device, "--shapes", shapes, *more]
        command += ["--out", str(out / f"{name}.jsonl"), "--budget", str(seconds - 30)]
        parts.append(Part(name, command, seconds))
    runs = [] if on_gpu else ["--runs", "3", "--most", "8"]
    together = [sys.executable, f"{benchmarks}/training/together.py", "--device", options.device]
    runs += ["--shapes", shapes.partition(",")[0]]
    parts.append(Part("together", [*together, *runs, "--out", str(out / "together.jsonl"), "--budget", "150"], 180))
    return [part for part in parts if part.name in (options.only or [one.name for one in parts])]


def run(part: Part, options: Namespace, seconds: float) -> None:
    """Run one part and show what it found; a part that fails does not keep the next ones from running."""
    lines, log = options.out / f"{part.name}.jsonl", options.out / f"{part.name}.log"
    lines.unlink(missing_ok=True)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([f"{ROOT}/workflow/scripts", f"{ROOT}/tests", os.environ.get("PYTHONPATH", "")]),
        "LORAGRID_TESTS_ON": options.device,
        "LORAGRID_TOLD": str(lines.absolute()),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if options.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(part.command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            process.wait(max(1, seconds))
        except subprocess.TimeoutExpired:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
    print(json.dumps({"part": part.name, "status": process.returncode, "s": round(time.monotonic() - started, 1)}), flush=True)
    if lines.exists():
        found = lines.read_text(encoding="utf-8").splitlines()
        print("\n".join(line[:900] for line in found if '"outcome": "passed"' not in line), flush=True)
    said = log.read_text(encoding="utf-8")
    print(said[-1500:] if process.returncode else said[said.rfind("\n**") :] if "\n**" in said else said[-300:], flush=True)


def main() -> None:
    """Run the parts within the time that is left for all."""
    parser = ArgumentParser(prog="all.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results-of-gpu"), metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=560, help="for all parts together (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="PART", help="of tests, training, inference, together")
    options = parser.parse_args()
    options.out = options.out.absolute()
    options.out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + options.seconds
    for part in parts_of(options):
        left = ends - time.monotonic()
        run(part, options, min(part.seconds, left) if options.device == "cuda" else left)


if __name__ == "__main__":
    main()
