"""What is compared, and how one part of the comparison runs in a process of its own.

Imports nothing large: a process inherits its parent's peak memory, so that the parent has to stay small.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
TRL = "trl==1.16.0"
TRL_SITE = REPOSITORY / ".cache" / "benchmarks" / "site"
BATCH_SIZE = 8
MODELS = ("smollm2", "gemma3")


class Contender(NamedTuple):
    """One way to train."""

    title: str
    function: str
    """Name of the function of `contenders`."""
    settings: Mapping[str, Any] = {}
    """What is set beyond what all contenders share."""
    note: str = ""

    @property
    def uses_trl(self) -> bool:
        return self.function == "trl"


CONTENDERS = {
    "plain": Contender("plain loop", "plain"),
    "trainer": Contender("Trainer", "trainer", {"per_device_train_batch_size": 8}),
    "trainer-grouped": Contender(
        "Trainer, `group_by_length`",
        "trainer",
        {"per_device_train_batch_size": 8, "train_sampling_strategy": "group_by_length"},
    ),
    "trainer-accumulate": Contender(
        "Trainer, `group_by_length`, 2 × 4 accumulated",
        "trainer",
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "train_sampling_strategy": "group_by_length"},
    ),
    "trl": Contender("TRL", "trl", {"per_device_train_batch_size": 8}),
    "trl-grouped": Contender(
        "TRL, `group_by_length`",
        "trl",
        {"per_device_train_batch_size": 8, "train_sampling_strategy": "group_by_length"},
    ),
    "trl-accumulate": Contender(
        "TRL, `group_by_length`, 2 × 4 accumulated",
        "trl",
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "train_sampling_strategy": "group_by_length"},
    ),
    "trl-single": Contender(
        "TRL, 1 × 8 accumulated", "trl", {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8}
    ),
    "trl-padding-free": Contender(
        "TRL, `padding_free`", "trl", {"per_device_train_batch_size": 8, "padding_free": True, "max_length": None}
    ),
    "trl-packing": Contender(
        "TRL, `packing` (bfd, 1024)",
        "trl",
        {"per_device_train_batch_size": 1, "packing": True, "max_length": 1024},
        "about 8 examples a step",
    ),
    "trl-packing-short": Contender(
        "TRL, `packing` (bfd, 512)",
        "trl",
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2, "packing": True, "max_length": 512},
        "about 8 examples a step",
    ),
    "trl-wrapped": Contender(
        "TRL, `packing` (wrapped, 1024)",
        "trl",
        {"per_device_train_batch_size": 1, "packing": True, "packing_strategy": "wrapped", "max_length": 1024},
        "cuts examples; about 8 a step",
    ),
    "ours": Contender("**loragrid**", "ours"),
}
ON_SHAPES = {
    "trl": Contender("TRL", "trl"),
    "trl-liger": Contender(
        "TRL, `group_by_length`, Liger kernels", "trl", {"train_sampling_strategy": "group_by_length", "use_liger_kernel": True}
    ),
    "trl-packing": Contender("TRL, `packing` (bfd), Liger kernels", "trl", {"packing": True, "use_liger_kernel": True}),
    "ours": Contender("**loragrid**", "ours"),
    "ours-no-kernels": Contender("loragrid, `kernels: none`", "ours", {"kernels": "none"}),
    "ours-padded": Contender("loragrid, `packing: off`", "ours", {"packing": "off"}),
}
"""Contenders for models of known shapes; each gets the number of examples a step besides."""
USUAL_ON_SHAPES = ("ours", "trl-liger", "trl-packing", "trl")
"""Those that a GPU is lent for come first: time may run out."""


def install_trl() -> None:
    """Put TRL, which the project does not depend on, where only its own contenders find it."""
    if not (TRL_SITE / f"{TRL.replace('==', '-')}.dist-info").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(TRL_SITE), TRL]
        subprocess.run(pip, check=True, stdout=sys.stderr)


def run(command: str, threads: int, with_trl: bool = False, **job: Any) -> Any:
    """Run a command of `worker` in a process of its own.

    Returns:
        What it returned.

    Raises:
        SystemExit: with the end of what it printed, where it fails.
    """
    paths = [REPOSITORY / "workflow" / "scripts", REPOSITORY / "tests", *([TRL_SITE] if with_trl else [])]
    settings = {
        "PYTHONPATH": os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        process = subprocess.run(
            [sys.executable, str(HERE / "worker.py"), command, str(result)],
            input=json.dumps(job | {"threads": threads}),
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if process.returncode:
            raise SystemExit(f"{process.stdout[-4000:]}\n'{command}' failed: see above.")
        return json.loads(result.read_text(encoding="utf-8"))
