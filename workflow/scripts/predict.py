"""Answer the test examples of one data set with one model."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.data.prompting import make_request
from loragrid.data.render import Rendered, end_tokens, load_renderer, render, render_conversation
from loragrid.data.splitting import subset
from loragrid.errors import UserError
from loragrid.inference.engines import context_length, open_engine
from loragrid.inference.protocol import Decoding, MadeBy, generate, known_answers, make_predictions, prediction_identity
from loragrid.inference.settings import engine_of
from loragrid.records import Example, Prediction, read_records, write_records
from loragrid.runtime.files import file_sha256, fingerprint, write_json
from loragrid.runtime.job import circumstances, log, logged, versions
from loragrid.runtime.model_folders import whole_folder
from loragrid.runtime.states import describe_state

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    started = time.perf_counter()
    name, axes = snakemake.wildcards.base_model, snakemake.params.axes
    # How fast an engine is asked is no parameter of the job: to change it makes no result outdated.
    settings = snakemake.params.model | {"engine": engine_of(snakemake.config, name)}
    decoding = Decoding(**snakemake.params.decoding)
    folder = snakemake.input.get("model") and whole_folder(snakemake.input.model)
    trained = snakemake.input.get("adapter") and whole_folder(snakemake.input.adapter) / Path(snakemake.input.adapter).name
    if settings["engine"]["type"] != "openai":
        # To import torch takes seconds.
        from loragrid.runtime.gpu_leases import lease_gpus

        lease_gpus(snakemake.resources)

    renderer = load_renderer(folder, settings) if folder else None
    examples = subset(read_records(snakemake.input.test, Example), snakemake.params.subset)
    demonstrations: dict[str, list[Example]] = {}
    if snakemake.params.prompting["type"] != "zero_shot":
        train = {example.id: example for example in read_records(snakemake.input.train, Example)}
        chosen = json.loads(Path(snakemake.input.demonstrations).read_text(encoding="utf-8"))
        demonstrations = {id_: [train[one] for one in ids] for id_, ids in chosen.items()}
    longest = context_length(folder, settings) if folder else 0
    prompts: list[list[Rendered]] = []
    for example in examples:
        shown = demonstrations.get(example.id, [])
        requests = [make_request(part, snakemake.params.instruction, shown) for part in example.parts]
        rendered = [
            render(renderer, request, None, longest, reserve=decoding.max_new_tokens)
            if renderer
            else render_conversation(settings["system_prompt"], request)
            for request in requests
        ]
        if None in rendered:
            raise UserError(f"{snakemake.input.test}: the prompt of {example.id} does not fit into the model's context.")
        if renderer and any(one is not None and not one.prompt_ids for one in rendered):
            raise UserError(
                f"{snakemake.input.test}: the prompt of {example.id} has no tokens; check its fields and the template."
            )
        prompts.append([one for one in rendered if one is not None])
    if cut := [e.id for e, of_example in zip(examples, prompts, strict=True) if any(p.truncated for p in of_example)]:
        log.info("%d examples: demonstrations or input cut: %s", len(cut), ", ".join(cut))

    known = known_answers(read_records(snakemake.input.known, Prediction)) if snakemake.input.get("known") else {}
    flat = [prompt for of_example in prompts for prompt in of_example]
    taken_over = sum(prompt.prompt in known for prompt in flat)
    missing = list({prompt.prompt: prompt for prompt in flat if prompt.prompt not in known}.values())
    if known:
        log.info("%d of %d prompts are answered in %s", taken_over, len(flat), snakemake.input.known)

    fingerprints = {
        "model": file_sha256(snakemake.input.model) if folder else None,
        "tokenizer": file_sha256(snakemake.input.tokenizer) if folder else None,
        "adapter": file_sha256(trained) if trained else None,
        "test": file_sha256(snakemake.input.test),
        "prompt_template": fingerprint(renderer.template or renderer.tokenizer.chat_template) if renderer else None,
    }
    journal = None
    hardware = ("none", "none")
    if missing:
        with open_engine(
            name,
            settings,
            folder,
            trained,
            snakemake.params.quantization,
            renderer,
            snakemake.threads,
            job=snakemake.output.predictions,
        ) as engine:
            configs = [snakemake.input.get(part) for part in ("model_config", "adapter_config")]
            identity = prediction_identity(
                snakemake.output.predictions,
                {part: fingerprints[part] for part in ("model", "tokenizer", "adapter")}
                | {"configs": [file_sha256(path) if path else None for path in configs]}
                | {"ends": end_tokens(renderer, folder) if renderer and folder else []},
                # The shape of batches changes the rounding; how patiently a server is asked changes nothing.
                snakemake.params.model
                | {"quantization": snakemake.params.quantization, "batch_tokens": settings["engine"].get("batch_tokens")},
                decoding,
                engine,
                versions("torch", "transformers", "peft") | {"stage": snakemake.params.version},
            )
            journal = Path("results/.state/predictions") / f"{identity}.jsonl"
            describe_state(journal, {"result": snakemake.output.predictions})
            hardware, made_by = (engine.device, engine.dtype), MadeBy(engine.name, engine.version)
            new = generate(engine.answer, missing, decoding, journal)
            known |= {prompt.prompt: (made_by, answers) for prompt, answers in zip(missing, new, strict=True)}

    write_records(
        snakemake.output.predictions,
        [
            record
            for example, of_example in zip(examples, prompts, strict=True)
            for record in make_predictions(axes, example, of_example, [known[prompt.prompt] for prompt in of_example])
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
            "decoding": snakemake.params.decoding,
            "subset": snakemake.params.subset,
            "stage_version": snakemake.params.version,
            "fingerprints": fingerprints,
            "examples": len(examples),
            "input_cut": cut,
            "taken_over": taken_over,
            "generation_s": round(sum(answer.runtime_s for p in missing for answer in known[p.prompt][1]), 3),
            "versions": versions("torch", "transformers", "peft"),
            **circumstances(started, *hardware, snakemake.threads),
        },
    )
    if journal:
        journal.unlink(missing_ok=True)
        journal.with_suffix(".json").unlink(missing_ok=True)
