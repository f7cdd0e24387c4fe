"""Runs the scripts of this folder one after another, each with its time; the next ones import meanwhile."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    """Command line: plan, folder for results, seconds in all.

    The plan is a JSON list of [script, seconds, arguments...]; one whose name starts with & runs beside the next one.
    """
    plan, out = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + float(sys.argv[3]) if len(sys.argv) > 3 else float("inf")
    processes, beside = [], []
    for number, (script, seconds, *arguments) in enumerate(plan):
        is_beside, script = script.startswith("&"), script.lstrip("&")
        name = f"{number}-{Path(script).stem}"
        gate = out / f"{name}.gate"
        gate.unlink(missing_ok=True)
        command = [sys.executable, str(HERE / script), *arguments, "--gate", str(gate), "--out", str(out / f"{name}.jsonl")]
        log = (out / f"{name}.log").open("w", encoding="utf-8")
        command += ["--budget", str(seconds)]
        processes.append((name, seconds, gate, is_beside, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)))
    for name, seconds, gate, is_beside, process in processes:
        started = time.monotonic()
        gate.touch()
        if is_beside:
            beside.append((name, process))
            continue
        # What is begun in time may end a little later.
        wait(process, min(seconds + 25, ends - started))
        tell(out, name, process, started)
        while beside:
            other, process = beside.pop()
            wait(process, 5)
            tell(out, other, process, started)


def wait(process: Any, seconds: float) -> None:
    """Until it ends, or end it."""
    try:
        process.wait(max(1, seconds))
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()


def tell(out: Path, name: str, process: Any, started: float) -> None:
    """Print what a script wrote."""
    print(json.dumps({"part": name, "status": process.returncode, "s": round(time.monotonic() - started, 1)}), flush=True)
    lines = out / f"{name}.jsonl"
    if lines.exists():
        print(
            "\n".join(line[:900] for line in lines.read_text(encoding="utf-8").splitlines() if '"passed"' not in line), flush=True
        )
    if process.returncode:
        print((out / f"{name}.log").read_text(encoding="utf-8")[-1500:], flush=True)


if __name__ == "__main__":
    main()
