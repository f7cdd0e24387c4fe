"""Prove on a few examples that a model generates as promised."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from loragrid.checks import check_generation, last_logits
from loragrid.datasets import subset
from loragrid.devices import lease_gpus
from loragrid.errors import UserError
from loragrid.files import write_json
from loragrid.inference import context_length, load_base_model, load_trained
from loragrid.job import logged
from loragrid.records import Example, read_records
from loragrid.render import load_renderer, render, zero_shot

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    lease_gpus(snakemake.resources)
    settings, limits, trained = snakemake.params.model, snakemake.params.checks, snakemake.input.get("adapter")
    model_folder = Path(snakemake.input.model).parent

    renderer = load_renderer(model_folder, settings)
    base = load_base_model(model_folder, settings["dtype"], snakemake.params.quantization)
    examples = subset(read_records(snakemake.input.test, Example), limits["examples"])
    rendered = [
        render(renderer, zero_shot(e.parts[0]), None, context_length(base), reserve=limits["max_new_tokens"]) for e in examples
    ]
    prompts = [r for r in rendered if r is not None]
    base_logits = [last_logits(base, p.prompt_ids) for p in prompts] if trained else None
    model = load_trained(base, Path(trained) if trained else None, settings["dtype"])
    checks = check_generation(model, renderer, prompts, limits["max_new_tokens"], base_logits)

    failed = [name for name, check in checks.items() if check["passed"] is False]
    if failed:
        print(json.dumps(checks, indent=2, ensure_ascii=False))
        raise UserError(f"{snakemake.output[0]}: the model does not pass: {', '.join(failed)}; the evidence is in the log.")
    write_json(snakemake.output[0], {"examples": [e.id for e in examples], "checks": checks})
