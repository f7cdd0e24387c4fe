"""Answer the test examples of one data set with one model."""

import json
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from loragrid.datasets import subset
from loragrid.devices import device_name, lease_gpus, type_name
from loragrid.errors import UserError
from loragrid.files import file_sha256, fingerprint, write_json
from loragrid.inference import context_length, generate, greedy_config, load_base_model, load_trained, make_prediction
from loragrid.job import circumstances, log, logged, versions
from loragrid.prompting import make_request
from loragrid.records import Example, read_records, write_records
from loragrid.render import Rendered, load_renderer, render

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    started = time.perf_counter()
    torch.set_num_threads(snakemake.threads)
    lease_gpus(snakemake.resources)
    settings, axes, trained = snakemake.params.model, snakemake.params.axes, snakemake.input.get("adapter")
    max_new_tokens = snakemake.params.max_new_tokens
    model_folder = Path(snakemake.input.model).parent

    renderer = load_renderer(model_folder, settings)
    base = load_base_model(model_folder, settings["dtype"], snakemake.params.quantization)
    examples = subset(read_records(snakemake.input.test, Example), snakemake.params.subset)
    demonstrations: dict[str, list[Example]] = {}
    if snakemake.params.prompting["type"] != "zero_shot":
        train = {example.id: example for example in read_records(snakemake.input.train, Example)}
        chosen = json.loads(Path(snakemake.input.demonstrations).read_text(encoding="utf-8"))
        demonstrations = {id_: [train[one] for one in ids] for id_, ids in chosen.items()}
    prompts: list[list[Rendered]] = []
    for example in examples:
        requests = [
            make_request(part, snakemake.params.instruction, demonstrations.get(example.id, [])) for part in example.parts
        ]
        rendered = [render(renderer, request, None, context_length(base), reserve=max_new_tokens) for request in requests]
        if None in rendered:
            raise UserError(f"{snakemake.input.test}: the prompt of {example.id} does not fit into the model's context.")
        prompts.append([one for one in rendered if one is not None])
    if cut := [e.id for e, of_example in zip(examples, prompts, strict=True) if any(p.truncated for p in of_example)]:
        log.info("%d examples: demonstrations or input cut: %s", len(cut), ", ".join(cut))

    model = load_trained(base, Path(trained) if trained else None, settings["dtype"])
    fingerprints = {
        "model": file_sha256(snakemake.input.model),
        "tokenizer": file_sha256(snakemake.input.tokenizer),
        "adapter": file_sha256(trained) if trained else None,
        "test": file_sha256(snakemake.input.test),
        "prompt_template": fingerprint(renderer.template or renderer.tokenizer.chat_template),
    }
    engine = versions("torch", "transformers", "peft")
    # All that an answer depends on, beside its prompt.
    identity = {
        "file": snakemake.output.predictions,
        "model": [fingerprints[part] for part in ("model", "tokenizer", "adapter")],
        "settings": [settings, snakemake.params.quantization, type_name(base.dtype), device_name(base.device)],
        "decoding": greedy_config(renderer, base, max_new_tokens).to_diff_dict(),
        "versions": [engine, snakemake.params.version],
    }
    journal = Path("results/.state/predictions") / f"{fingerprint(identity)[:32]}.jsonl"
    flat = [prompt.prompt_ids for of_example in prompts for prompt in of_example]
    generated = generate(model, renderer, flat, max_new_tokens, settings["batch_size"], journal)
    answers = iter(generated)

    write_records(
        snakemake.output.predictions,
        [
            make_prediction(axes, example, of_example, list(islice(answers, len(of_example))))
            for example, of_example in zip(examples, prompts, strict=True)
        ],
    )
    write_json(
        snakemake.output.manifest,
        {
            "axes": axes,
            "model": settings,
            "prompting": snakemake.params.prompting,
            "instruction": snakemake.params.instruction,
            "quantization": snakemake.params.quantization,
            "max_new_tokens": max_new_tokens,
            "subset": snakemake.params.subset,
            "stage_version": snakemake.params.version,
            "fingerprints": fingerprints,
            "examples": len(examples),
            "input_cut": cut,
            "generation_s": round(sum(answer.runtime_s for answer in generated), 3),
            "versions": engine,
            **circumstances(started, device_name(base.device), type_name(base.dtype), torch.get_num_threads()),
        },
    )
    journal.unlink(missing_ok=True)
