"""One contender, in a process of its own: `worker.py RESULT`, with the job as JSON on stdin."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from loragrid.data.render import ModelSettings, Rendered, Renderer, Request, end_tokens, load_renderer, render
from loragrid.inference.batching import answer_several_with, answer_with
from loragrid.inference.protocol import Decoding, generate, pose
from loragrid.models.device import device_name, keep_freed_memory, type_name
from loragrid.models.importing import import_base_model
from loragrid.models.loading import load_base_model
from loragrid.models.several_adapters import SeveralAdapters, parts_of
from loragrid.training.methods import LoraTraining
from packaged import SMOLLM2, imported, unpacked

NEW = 40
INSTRUCTION = "In one sentence, summarise the outcome that this paper reports."


def default_prompts(renderer: Renderer, number: int) -> list[Rendered]:
    """Test prompts of the default experiment's task `outcome`."""
    path = unpacked("aclsum==0.1.2", "aclsum/dataset/test.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:number]]
    requests = [Request(INSTRUCTION, " ".join(row["sentences"]["abstract"])) for row in rows]
    rendered = [render(renderer, request, None, 2048) for request in requests]
    return [one for one in rendered if one is not None]


def one_by_one(model: Any, renderer: Renderer, prompts: list[Rendered], ends: list[int]) -> int:
    """The usual loop: `generate` for each prompt."""
    return sum(padded(model, renderer, [prompt], ends) for prompt in prompts)


def fixed(model: Any, renderer: Renderer, prompts: list[Rendered], ends: list[int]) -> int:
    """Batches as the data comes."""
    return sum(padded(model, renderer, prompts[i : i + 32], ends) for i in range(0, len(prompts), 32))


def padded(model: Any, renderer: Renderer, prompts: list[Rendered], ends: list[int], **more: Any) -> int:
    """Tokens that `generate` gives for a batch of prompts, padded on the left."""
    tokenizer = renderer.tokenizer
    tokenizer.padding_side = "left"
    batch = tokenizer([prompt.prompt for prompt in prompts], return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.inference_mode():
        output = model.generate(
            **batch.to(model.device), max_new_tokens=NEW, do_sample=False, eos_token_id=ends, pad_token_id=ends[0], **more
        )
    new = output[:, batch.input_ids.shape[1] :].tolist()
    return sum(next((i for i, token in enumerate(row, 1) if token in ends), len(row)) for row in new)


def ours(model: Any, renderer: Renderer, prompts: list[Rendered], ends: list[int]) -> int:
    """As the engine `hf` does."""
    if model.device.type == "cpu":
        keep_freed_memory()
    answers = generate(answer_with(model, renderer, ends, 16384 if model.device.type == "cpu" else 65536), prompts, Decoding(NEW))
    return sum(answer.new_tokens for [answer] in answers)


def together(model: Any, names: list[str], renderer: Renderer, prompts: list[Rendered], ends: list[int]) -> int:
    """As the engine `hf` does for several adapters on a GPU."""
    parts = [parts_of(model, name) for name in names]
    base = model.unload()
    several = SeveralAdapters(base, parts)
    owners = [several.put(one).start for one in parts]
    ask = answer_several_with(base, several, owners, renderer, ends, 16384 if base.device.type == "cpu" else 65536)
    questions = [(question, place) for place in range(len(names)) for question in pose(prompts, Decoding(NEW))]
    return sum(answer.new_tokens for new in ask(questions, Decoding(NEW), ()) for answer in new.values())


def adapted(model: Any, adapters: list[int]) -> Any:
    """The model with an adapter for each number."""
    found = None
    for number in adapters:
        config = LoraTraining(target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
        if found is None:
            found = config.make_trainable(model, number)
            first = found.active_adapter
        else:
            found.add_adapter(str(number), found.peft_config[first])
    return found.eval()


def main() -> None:
    """Do the job and write down how long it took."""
    job = json.load(sys.stdin)
    torch.set_num_threads(job["threads"])
    folder = imported("smollm2", lambda into: import_base_model(unpacked(*SMOLLM2), into))
    renderer = load_renderer(folder, ModelSettings())
    ends = end_tokens(renderer, folder)
    model: Any = load_base_model(folder, job["dtype"])
    prompts = default_prompts(renderer, job["prompts"])
    adapters = job.get("adapters", [])
    if adapters:
        model = adapted(model, adapters)
        names = list(model.peft_config)

    started, new_tokens = time.perf_counter(), 0
    match job["contender"]:
        case "one_by_one" | "fixed" | "ours" as name:
            new_tokens = {"one_by_one": one_by_one, "fixed": fixed, "ours": ours}[name](model, renderer, prompts, ends)
        case "switching":
            for adapter in names:
                model.set_adapter(adapter)
                new_tokens += ours(model, renderer, prompts, ends)
        case "together":
            new_tokens = together(model, names, renderer, prompts, ends)
        case "mixed":
            pairs = [(prompt, adapter) for prompt in prompts for adapter in names]
            pairs.sort(key=lambda pair: -len(pair[0].prompt_ids))
            for i in range(0, len(pairs), 32):
                batch, used = zip(*pairs[i : i + 32], strict=True)
                new_tokens += padded(model, renderer, list(batch), ends, adapter_names=list(used))
    lengths = [len(prompt.prompt_ids) for prompt in prompts]
    result = {
        "generation_s": time.perf_counter() - started,
        "new_tokens": new_tokens,
        "title": device_name(model.device),
        "dtype": type_name(model.dtype),
        "prompts": f"{len(prompts)} prompts of {min(lengths)} to {max(lengths)} tokens, {sum(lengths) / len(lengths):.0f} on average, "
        f"answers of up to {NEW}",
    }
    Path(sys.argv[1]).write_text(json.dumps(result), encoding="utf-8")


main()
