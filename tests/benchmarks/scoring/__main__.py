"""How quickly scorers with a model score a grid, beside other ways: `.venv/bin/python tests/benchmarks/scoring`.

Prints a Markdown table to stdout and what it is doing to stderr. Every prediction file is scored in a process of its own, one after another; all
have the same references. Model and data are fetched once and kept in `.cache/`.
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
    return parser.parse_args()


def run(job: dict[str, Any]) -> dict[str, Any]:
    """What the worker tells of one file, with the seconds from its start to its end (`whole_s`)."""
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
    return found | {"whole_s": whole}


def run_all(contender: str, options: Namespace) -> dict[str, Any]:
    """A contender's seconds of scoring and of everything, added up over all prediction files, and the values of all predictions."""
    with tempfile.TemporaryDirectory() as folder:
        job = {"contender": contender, "store": f"{folder}/store.jsonl"}
        job |= {"files": options.files, "references": options.references, "threads": options.threads}
        parts = [run(job | {"file": file}) for file in range(options.files)]
    scoring, whole = (sum(part[key] for part in parts) for key in ("scoring_s", "whole_s"))
    print(f"  {contender}: {scoring:.1f} of {whole:.1f} s", file=sys.stderr, flush=True)
    return {"scoring_s": scoring, "whole_s": whole, "values": [value for part in parts for value in part["values"]]}


def main() -> None:
    """Run the comparison."""
    options = parse_arguments()
    print(
        f"{options.files} prediction files over the same {options.references} references, all-MiniLM-L6-v2, {options.threads} threads\n"
    )
    print("| contender | a process for each file: s | × | of which scoring: s | × | largest difference |")
    print("|---|---:|---:|---:|---:|---:|")
    usual: dict[str, Any] = {}
    for name, title in TITLES.items():
        found = run_all(name, options)
        usual = found if name.endswith("one_by_one") else usual
        difference = max(abs(a - b) for a, b in zip(found["values"], usual["values"], strict=True))
        whole, scoring = found["whole_s"], found["scoring_s"]
        numbers = [f"{whole:.0f}", f"{usual['whole_s'] / whole:.1f}", f"{scoring:.1f}", f"{usual['scoring_s'] / scoring:.1f}"]
        print(f"| {title} | {' | '.join(numbers)} | {difference:.0e} |", flush=True)


main()
