"""Runs unit tests where a GPU is visible and takes down why some fail.

SmolLM2 is stood in for by a random model with its tokenizer, in the cache of the tests, if it is not there.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from lab import begin

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "tests" / "models" / "smollm2"
FOLDERS = ("training", "models", "inference", "runtime")
"""Of tests/unit: what computes on a device, or asks for one."""


def stand_in(tokenizer: str) -> None:
    """A random model in the place of SmolLM2, with as many layers."""
    if (FOLDER / "model.safetensors").exists():
        return
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    known = AutoTokenizer.from_pretrained(tokenizer)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(known),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=30,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=2,
        pad_token_id=2,
        initializer_range=0.1,
        tie_word_embeddings=True,
    )
    FOLDER.mkdir(parents=True)
    LlamaForCausalLM(config).save_pretrained(FOLDER)
    known.save_pretrained(FOLDER)


def main() -> None:
    lab, arguments = begin("unit", tokenizer="", site="", folders=",".join(FOLDERS), workers=12)
    if arguments.tokenizer:
        stand_in(arguments.tokenizer)
    folders = [str(ROOT / "tests" / "unit" / name) for name in arguments.folders.split(",")]
    told = Path(arguments.out or "unit.jsonl").absolute()
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(arguments.workers), "--dist", "worksteal", "--timeout", "60"]
    command += ["--tb=short", "-p", "no:cacheprovider", "-p", "told", *folders]
    # Further packages, bitsandbytes for instance, that only these tests are to find.
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [arguments.site]), os.environ.get("PYTHONPATH", "")])
    # Each worker would otherwise take all cores.
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    started = time.perf_counter()
    with told.with_suffix(".log").open("w", encoding="utf-8") as log:
        environment = os.environ | one_thread | {"TOLD": str(told), "PYTHONPATH": paths}
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            process.wait(arguments.budget)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    said = told.with_suffix(".log").read_text(encoding="utf-8").strip().splitlines()[-1:]
    lab.write(said=said, status=process.returncode, seconds=round(time.perf_counter() - started, 1))
    for line in told.read_text(encoding="utf-8").splitlines():
        if '"test"' in line:
            print(line[:600], flush=True)


if __name__ == "__main__":
    main()
