"""Kills jobs and Snakemake at random moments, again and again, and compares the results with those of a run that nobody disturbed.

`PYTHONPATH=workflow/scripts:tests .venv/bin/python -m faults.kills --kills 200 --seed 1` prints a line for each fault and a summary. Kinds of faults
and moments follow from the seed; what a process does at such a moment does not.
"""

import json
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

# Processes that are forked for projects import this module too, and must take the library from their project: so it is imported below.


def main() -> None:
    """Run the script."""
    parser = ArgumentParser(prog="faults.kills", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="default: %(default)s")
    parser.add_argument(
        "--folder", type=Path, help="where projects are; those in which something went wrong stay (default: a new temporary one)"
    )
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="kills-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)

    from faults.disturbed import disturb
    from projects import make_tiny_project
    from same_results import comparable

    model = tiny_model(folder / "model")
    undisturbed = make_tiny_project(folder / "undisturbed", model)
    undisturbed.snakemake()
    expected = comparable(undisturbed.folder / "results")

    def tell(text: str) -> None:
        print(text, flush=True)

    summary = disturb(options.kills, options.seed, folder, lambda place: make_tiny_project(place, model), expected, tell)
    tell(json.dumps(summary._asdict(), indent=2))
    sys.exit(bool(summary.wrong))


def tiny_model(folder: Path) -> Path:
    """A folder with a random model and SmolLM2's tokenizer."""
    from transformers import AutoTokenizer

    from loragrid.models.importing import import_base_model
    from packaged import SMOLLM2, imported, unpacked
    from projects import make_tiny_model

    smollm2 = imported("smollm2", lambda into: import_base_model(unpacked(*SMOLLM2), into))
    return make_tiny_model(folder, AutoTokenizer.from_pretrained(smollm2))


if __name__ == "__main__":
    main()
