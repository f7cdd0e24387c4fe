"""Train one adapter on one mix."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from loragrid.adapters import save_adapter
from loragrid.config import Seeds, TrainingConfig
from loragrid.devices import device_name, type_name
from loragrid.files import file_sha256, fingerprint, folder_written_whole, write_json
from loragrid.inference import load_base_model, pad_token
from loragrid.job import circumstances, log, logged, versions
from loragrid.records import Example, read_records
from loragrid.render import load_renderer
from loragrid.tokens import read_tokens
from loragrid.training import add_adapter, encode, train, write_course

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    started = time.perf_counter()
    torch.set_num_threads(snakemake.threads)
    run, settings = snakemake.params.run, snakemake.params.model
    config, seeds = TrainingConfig(**snakemake.params.config), Seeds(**snakemake.params.seeds)
    model_folder = Path(snakemake.input.model).parent

    renderer = load_renderer(model_folder, settings)
    mix = {part: read_records(snakemake.input[part], Example) for part in ("train", "validation")}
    tokenised = read_tokens(snakemake.input.tokens, {example.id for examples in mix.values() for example in examples})
    (train_set, train_cut, train_dropped), (validation_set, _, validation_dropped) = (
        encode(renderer, examples, tokenised, run["loss_computation"], config.max_length) for examples in mix.values()
    )
    for text, ids in (("input cut", train_cut), ("dropped, too long", train_dropped + validation_dropped)):
        if ids:
            log.info("%d examples: %s: %s", len(ids), text, ", ".join(ids))

    base = load_base_model(model_folder, settings["dtype"])
    model = add_adapter(base, config, seeds.adapter_init)
    course = train(model, train_set, validation_set, config, seeds, pad_token(renderer), base.device)

    with folder_written_whole(Path(snakemake.output.adapter).parent) as folder:
        save_adapter(model, folder)
        write_course(folder / "loss.csv", course)
        write_json(
            folder / "manifest.json",
            {
                "run": run,
                "config": snakemake.params.config,
                "model": settings,
                "seeds": snakemake.params.seeds,
                "stage_version": snakemake.params.version,
                "fingerprints": {
                    "model": file_sha256(snakemake.input.model),
                    "tokenizer": file_sha256(snakemake.input.tokenizer),
                    "prompt_template": fingerprint(renderer.template or renderer.tokenizer.chat_template),
                    "train": file_sha256(snakemake.input.train),
                    "validation": file_sha256(snakemake.input.validation),
                    "adapter": file_sha256(folder / "adapter_model.safetensors"),
                },
                "examples": {
                    "train": len(train_set),
                    "validation": len(validation_set),
                    "input_cut": train_cut,
                    "dropped": train_dropped + validation_dropped,
                },
                "tokens": course[-1].tokens,
                "training_s": course[-1].seconds,
                "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
                "versions": versions("torch", "transformers", "peft"),
                **circumstances(started, device_name(base.device), type_name(base.dtype), torch.get_num_threads()),
            },
        )
