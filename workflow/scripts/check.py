"""Prove on a few examples that a model generates as promised."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.checks import check_generation, differs_from_base, last_logits, same_texts
from loragrid.config import parse_engine
from loragrid.datasets import subset
from loragrid.engines import context_length, open_engine
from loragrid.errors import UserError
from loragrid.files import write_json
from loragrid.inference import Decoding, generate
from loragrid.job import logged
from loragrid.records import Example, read_records
from loragrid.render import end_tokens, load_renderer, render, render_conversation, zero_shot

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]), ExitStack() as opened:
    name, limits = snakemake.wildcards.base_model, snakemake.params.checks
    settings = snakemake.params.model | {"engine": parse_engine(snakemake.config["models"][name].get("engine"))}
    is_hf = settings["engine"]["type"] == "hf"
    trained = snakemake.input.get("adapter") and Path(snakemake.input.adapter)
    folder = snakemake.input.get("model") and Path(snakemake.input.model).parent
    decoding = Decoding(max_new_tokens=limits["max_new_tokens"])

    renderer = load_renderer(folder, settings) if folder else None
    examples = subset(read_records(snakemake.input.test, Example), limits["examples"])
    requests = [zero_shot(example.parts[0]) for example in examples]
    if folder and renderer:
        longest, ends = context_length(folder, settings), end_tokens(renderer, folder)
        rendered = [render(renderer, one, None, longest, reserve=decoding.max_new_tokens) for one in requests]
    else:
        rendered, ends = [render_conversation(settings["system_prompt"], one) for one in requests], []
    prompts = [one for one in rendered if one is not None]

    checks, base_logits, of_hf, exact = {}, [], None, False
    if folder and renderer:
        from loragrid.devices import lease_gpus

        lease_gpus(snakemake.resources)
        import torch

        from loragrid.engine_hf import BATCH_TOKENS, answer_with
        from loragrid.loading import load_base_model, load_trained

        torch.set_num_threads(snakemake.threads)
        base = load_base_model(folder, settings["dtype"], snakemake.params.quantization)
        exact = base.dtype == torch.float32 and snakemake.params.quantization == "none"
        base_logits = [last_logits(base, p.prompt_ids) for p in prompts] if trained else []
        model = load_trained(base, trained, settings["dtype"])
        of_hf = answer_with(model, renderer, ends, BATCH_TOKENS["cpu"])
        if trained:
            checks["differs from base"] = differs_from_base(model, base_logits, prompts)

    if is_hf:
        assert of_hf is not None
        found, _ = check_generation(of_hf, prompts, decoding, ends, exact)
        checks |= found
    else:
        engine = opened.enter_context(
            open_engine(name, settings, folder, trained, snakemake.params.quantization, renderer, snakemake.threads)
        )
        is_server = settings["engine"]["type"] == "openai"
        found, answers = check_generation(engine.answer, prompts, decoding, ends, exact, repeatable=not is_server)
        checks |= found
        if of_hf is not None:
            expected = [one[0] for one in generate(of_hf, prompts, decoding)]
            checks["same text as hf"] = same_texts(answers, expected, strict=exact)

    found = {"examples": [example.id for example in examples], "checks": checks}
    evidence = Path(snakemake.output[0]).with_suffix(".failed.json")
    if failed := [check for check, outcome in checks.items() if outcome["passed"] is False]:
        write_json(evidence, found)
        raise UserError(f"{snakemake.output[0]}: the model does not pass: {', '.join(failed)}; the evidence is in {evidence}.")
    write_json(snakemake.output[0], found)
    evidence.unlink(missing_ok=True)
