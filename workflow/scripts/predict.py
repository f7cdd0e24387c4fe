"""Answer the test examples of one data set with one model."""

import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from loragrid.datasets import subset
from loragrid.devices import device_name, type_name
from loragrid.errors import UserError
from loragrid.files import file_sha256, fingerprint, write_json
from loragrid.inference import context_length, generate, load_adapter, load_base_model, load_renderer
from loragrid.job import circumstances, log, logged, versions
from loragrid.prompting import make_request
from loragrid.records import Example, Prediction, read_records, write_records
from loragrid.render import render

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    started = time.perf_counter()
    torch.set_num_threads(snakemake.threads)
    settings, axes, adapter = snakemake.params.model, snakemake.params.axes, snakemake.input.get("adapter")
    max_new_tokens = snakemake.params.max_new_tokens
    model_folder = Path(snakemake.input.model).parent

    renderer = load_renderer(model_folder, settings)
    base = load_base_model(model_folder, settings["dtype"])
    examples = subset(read_records(snakemake.input.test, Example), snakemake.params.subset)
    demonstrations: dict[str, list[Example]] = {}
    if snakemake.params.prompting["type"] != "zero_shot":
        train = {example.id: example for example in read_records(snakemake.input.train, Example)}
        chosen = json.loads(Path(snakemake.input.demonstrations).read_text(encoding="utf-8"))
        demonstrations = {id_: [train[one] for one in ids] for id_, ids in chosen.items()}
    requests = [make_request(e, snakemake.params.instruction, demonstrations.get(e.id, [])) for e in examples]
    rendered = [render(renderer, request, None, context_length(base), reserve=max_new_tokens) for request in requests]
    prompts = [r for r in rendered if r is not None]
    if len(prompts) < len(examples):
        too_long = [e.id for e, r in zip(examples, rendered, strict=True) if r is None]
        raise UserError(f"{snakemake.input.test}: the prompts of {', '.join(too_long)} do not fit into the model's context.")
    if cut := [e.id for e, p in zip(examples, prompts, strict=True) if p.truncated]:
        log.info("%d examples: demonstrations or input cut: %s", len(cut), ", ".join(cut))

    model = load_adapter(base, Path(adapter).parent) if adapter else base
    generation_started = time.perf_counter()
    answers = generate(model, renderer, [p.prompt_ids for p in prompts], max_new_tokens, settings["batch_size"])
    generation_s = round(time.perf_counter() - generation_started, 3)

    write_records(
        snakemake.output.predictions,
        (
            Prediction(
                **axes,
                id=example.id,
                prompt=prompt.prompt,
                prediction=answer.text,
                reference=example.output,
                runtime_s=answer.runtime_s,
                prompt_tokens=len(prompt.prompt_ids),
                new_tokens=len(answer.token_ids),
                finish_reason=answer.finish_reason,
                batch_size=answer.batch_size,
                engine="transformers",
                engine_version=version("transformers"),
            )
            for example, prompt, answer in zip(examples, prompts, answers, strict=True)
        ),
    )
    write_json(
        snakemake.output.manifest,
        {
            "axes": axes,
            "model": settings,
            "prompting": snakemake.params.prompting,
            "instruction": snakemake.params.instruction,
            "max_new_tokens": max_new_tokens,
            "subset": snakemake.params.subset,
            "stage_version": snakemake.params.version,
            "fingerprints": {
                "model": file_sha256(snakemake.input.model),
                "tokenizer": file_sha256(snakemake.input.tokenizer),
                "adapter": file_sha256(adapter) if adapter else None,
                "test": file_sha256(snakemake.input.test),
                "prompt_template": fingerprint(renderer.template or renderer.tokenizer.chat_template),
            },
            "examples": len(examples),
            "input_cut": cut,
            "generation_s": generation_s,
            "versions": versions("torch", "transformers", "peft"),
            **circumstances(started, device_name(base.device), type_name(base.dtype), torch.get_num_threads()),
        },
    )
