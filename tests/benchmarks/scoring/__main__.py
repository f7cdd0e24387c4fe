"""How quickly scorers with a model score a grid, beside other ways: `.venv/bin/python tests/benchmarks/scoring`.

Prints a Markdown table to stdout and what it is doing to stderr. Every contender runs in a process of its own, one after another, on the
same prediction files over the same references. Model and data are fetched once and kept in `.cache/`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).parents[3]
TITLES = {
    "sbert_one_by_one": "SBERT: `encode` for each text",
    "sbert_per_file": "SBERT: `encode` for each file",
    "sbert_ours": "SBERT: **loragrid**",
    "bertscore_one_by_one": "BERTScore: `bert-score` for each example",
    "bertscore_per_file": "BERTScore: `bert-score` for each file",
    "bertscore_ours": "BERTScore: **loragrid**",
}


def parse_arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="scoring", description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20, metavar="N", help="default: %(default)s")
    parser.add_argument("--references", type=int, default=100, metavar="N", help="default and most: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--rounds",
        type=int,
        default=2,
        metavar="N",
        help="each contender counts with the best of so many rounds (default: %(default)s)",
    )
    return parser.parse_args()


def run(job: dict[str, Any]) -> dict[str, Any]:
    """What the worker tells of one job, with the seconds that it takes beside the scoring (`startup_s`)."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    environment |= {
        "PYTHONPATH": f"{ROOT}/workflow/scripts:{ROOT}/tests",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with tempfile.NamedTemporaryFile() as result:
        started = time.perf_counter()
        command = [sys.executable, str(WORKER), result.name]
        subprocess.run(command, input=json.dumps(job), text=True, env=environment, check=True, stdout=sys.stderr)
        whole = time.perf_counter() - started
        found: dict[str, Any] = json.loads(Path(result.name).read_text())
    print(f"  {job['contender']}: {found['scoring_s']:.1f} of {whole:.1f} s", file=sys.stderr, flush=True)
    return found | {"startup_s": whole - found["scoring_s"]}


def main() -> None:
    """Run the comparison."""
    options = parse_arguments()
    common = {"files": options.files, "references": options.references, "threads": options.threads}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*TITLES, "known")}
    for turn in range(options.rounds):
        for name in found if turn % 2 == 0 else reversed(found):
            found[name].append(run(common | {"contender": name}))
    best = {name: min(rounds, key=lambda one: one["scoring_s"]) for name, rounds in found.items()}
    startup = {name: min(one["startup_s"] for one in rounds) for name, rounds in found.items()}

    print(
        f"{options.files} prediction files over the same {options.references} references, all-MiniLM-L6-v2, {options.threads} threads\n"
    )
    print("| contender | scoring s | × | start-up s | with a process for each file: s | × | largest difference |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    usual: tuple[str, float] = ("", 0.0)
    for name, title in TITLES.items():
        one = best[name]
        whole = one["scoring_s"] + options.files * startup[name]
        if name.endswith("ours"):
            # All but the first find their values in the store, and load nothing.
            whole = one["scoring_s"] + startup[name] + (options.files - 1) * startup["known"]
        if name.endswith("one_by_one"):
            usual = name, whole
        pairs = zip(one["values"], best[usual[0]]["values"], strict=True)
        difference = max(abs(a - b) for own, other in pairs for a, b in zip(own, other, strict=True))
        times = best[usual[0]]["scoring_s"] / one["scoring_s"], usual[1] / whole
        numbers = [f"{one['scoring_s']:.1f}", f"{times[0]:.1f}", f"{startup[name]:.1f}", f"{whole:.0f}", f"{times[1]:.1f}"]
        print(f"| {title} | {' | '.join(numbers)} | {difference:.0e} |")


main()
