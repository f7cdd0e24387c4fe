"""Prove on a few examples that a model generates as promised."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.data.render import end_tokens, load_renderer, render, render_conversation, zero_shot
from loragrid.data.splitting import subset
from loragrid.errors import UserError
from loragrid.inference.checks import check_generation, same_texts
from loragrid.inference.engines import context_length, open_engine
from loragrid.inference.protocol import Decoding
from loragrid.inference.settings import engine_of
from loragrid.records import Example, read_records
from loragrid.runtime.files import write_json
from loragrid.runtime.job import logged
from loragrid.runtime.model_folders import whole_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    name, limits, quantization = snakemake.wildcards.base_model, snakemake.params.checks, snakemake.params.quantization
    settings = snakemake.params.model | {"engine": engine_of(snakemake.config, name)}
    kind, dtype = settings["engine"]["type"], settings["dtype"]
    trained = snakemake.input.get("adapter") and whole_folder(snakemake.input.adapter) / Path(snakemake.input.adapter).name
    folder = snakemake.input.get("model") and whole_folder(snakemake.input.model)
    decoding = Decoding(max_new_tokens=limits["max_new_tokens"])

    renderer = load_renderer(folder, settings) if folder else None
    examples = subset(read_records(snakemake.input.test, Example), limits["examples"])
    requests = [zero_shot(example.parts[0]) for example in examples]
    if renderer:
        longest, ends = context_length(folder, settings), end_tokens(renderer, folder)
        rendered = [render(renderer, one, None, longest, reserve=decoding.max_new_tokens) for one in requests]
    else:
        rendered, ends = [render_conversation(settings["system_prompt"], one) for one in requests], []
    if not (prompts := [one for one in rendered if one is not None]):
        raise UserError(f"{snakemake.input.test}: none of the first {len(examples)} prompts fits into the model's context.")

    checks, of_hf, exact = {}, None, False
    if kind != "openai" or (renderer and limits["compare_engines"]):
        from loragrid.runtime.gpu_leases import lease_gpus

        lease_gpus(snakemake.resources)
    if renderer and (kind == "hf" or limits["compare_engines"]):
        import torch

        from loragrid.inference.hf import check_with_hf

        torch.set_num_threads(snakemake.threads)
        checks, of_hf, exact = check_with_hf(folder, settings, trained, quantization, renderer, prompts, decoding)
    if kind != "hf":
        with open_engine(
            name, settings, folder, trained, quantization, renderer, snakemake.threads, job=snakemake.output[0]
        ) as engine:
            # Servers promise nothing; in which number type they compute, only the configuration can say.
            exact = dtype == "float32" if kind == "openai" else engine.dtype == "float32"
            checks_of_engine, answers = check_generation(
                engine.answer, prompts, decoding, ends, exact and kind != "openai", repeatable=kind != "openai"
            )
        checks = {key: check for key, check in checks.items() if key == "differs from base"} | checks_of_engine
        if of_hf is not None:
            checks["same text as hf"] = same_texts(answers, of_hf, strict=exact)

    found = {"examples": [example.id for example in examples], "checks": checks}
    evidence = Path(snakemake.output[0]).with_suffix(".failed.json")
    if failed := [check for check, outcome in checks.items() if outcome["passed"] is False]:
        write_json(evidence, found)
        raise UserError(f"{snakemake.output[0]}: the model does not pass: {', '.join(failed)}; the evidence is in {evidence}.")
    write_json(snakemake.output[0], found)
    evidence.unlink(missing_ok=True)
