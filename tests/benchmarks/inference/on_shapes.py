"""The comparison on models of known shapes with random weights and an adapter, in this process: for a GPU that is lent for minutes.

Every result is a line of JSON as soon as it is known.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import torch

from lab import PAD, Lab, adapt, make_examples, make_model, markdown, open_lab, release, shapes_of

Prompts = Sequence[Sequence[int]]
Answering = Callable[[Prompts, int], list[list[int]]]
"""Answers prompts with exactly so many tokens each."""
WARM_UP = 12
"""Tokens of the answers that are not counted: so many that steps are recorded."""


def hold(options: Namespace) -> str:
    """Measure, and give the tables."""
    import transformers.models.llama.modeling_llama  # noqa: F401 - so that its import is not timed

    lab, tables = open_lab("inference", options), []
    for shape in shapes_of(options):
        prompts = [example["ids"][:400] for example in make_examples(options.prompts, shape)]
        lab.attempt(lambda shape=shape, prompts=prompts: compare(lab, shape, prompts, options), shape=shape)
        tables.append(table(lab.lines, shape, prompts, options.new))
        lab.attempt(lambda shape=shape: compare_adapters(lab, shape, options), shape=shape)
        tables.append(table_of_adapters(lab.lines, shape, options))
    return "\n".join(tables)


def compare(lab: Lab, shape: str, prompts: Prompts, options: Namespace) -> dict[str, Any]:
    """All contenders on one model."""
    model = adapt(make_model(shape, lab.device), effect=0.02).eval()
    contenders: dict[str, Answering] = {}
    for batch in [int(number) for number in options.batches.split(",")]:
        contenders[f"`generate()`, {batch} at a time"] = lambda p, n, batch=batch: by_transformers(model, p, n, batch)
    contenders["**loragrid**"] = lambda p, n: by_library(model, p, n)
    for name, answer in contenders.items():
        lab.attempt(lambda answer=answer: measure(lab, answer, prompts, options.new), shape=shape, contender=name)
    return {"mean_prompt": round(sum(map(len, prompts)) / len(prompts), 1)}


def measure(lab: Lab, answer: Answering, prompts: Prompts, new: int) -> dict[str, Any]:
    """Answer once for real, after a short answer to the same prompts."""
    answer(prompts, WARM_UP)
    release(lab.device)
    lab.synchronize()
    started = perf_counter()
    tokens = answer(prompts, new)
    lab.synchronize()
    seconds = perf_counter() - started
    assert all(len(one) == new for one in tokens)
    return {"tokens_per_s": round(len(prompts) * new / seconds), "seconds": round(seconds, 3), "peak_gib": lab.peak_gib()}


def by_transformers(model: Any, prompts: Prompts, new: int, batch: int) -> list[list[int]]:
    """`generate()`, batches as the prompts come, padded on the left."""
    from transformers import GenerationConfig

    settings = GenerationConfig(
        do_sample=False, max_new_tokens=new, min_new_tokens=new, pad_token_id=PAD, eos_token_id=PAD, use_cache=True
    )
    found = []
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        width = max(map(len, some))
        ids = torch.tensor([[PAD] * (width - len(p)) + list(p) for p in some], device=model.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in some], device=model.device)
        with torch.inference_mode():
            output = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
        found += output[:, width:].tolist()
    return found


def by_library(model: Any, prompts: Prompts, new: int) -> list[list[int]]:
    """As the engine `hf` does, with all prompts in one batch."""
    from loragrid.inference.generation import generate_together
    from loragrid.inference.protocol import Decoding

    # Without ends, each answer is as long as it may be.
    found = generate_together(model, prompts, [0] * len(prompts), Decoding(new), [], PAD, lambda ids: False)
    return [one.token_ids for one in found]


ONE_AFTER_ANOTHER, TOGETHER = "one adapter after another", "**together in the same batches**"


def compare_adapters(lab: Lab, shape: str, options: Namespace) -> dict[str, Any]:
    """Several adapters on one model. Loading them is not counted."""
    from loragrid.inference.row_adapters import row_adapters
    from loragrid.models.several_adapters import SeveralAdapters, parts_of

    number, each = options.adapters, options.prompts_per_adapter
    prompts = [example["ids"][:400] for example in make_examples(number * each, shape)]
    own = [prompts[i * each : (i + 1) * each] for i in range(number)]
    model = adapt(make_model(shape, lab.device), effect=0.02).eval()

    def one_after_another(_: Prompts, new: int) -> list[list[int]]:
        # Which numbers an adapter holds changes nothing about the time.
        return [answer for some in own for answer in in_batches(model, some, new)]

    lab.attempt(
        lambda: measure(lab, one_after_another, prompts, options.new), shape=shape, contender=ONE_AFTER_ANOTHER, adapters=number
    )
    parts = parts_of(model)
    base = model.unload()
    several = SeveralAdapters(base, [parts] * number)
    owners = [several.put(parts).start for _ in range(number)]

    def together(_: Prompts, new: int) -> list[list[int]]:
        of_prompts = [owner for owner in owners for _ in range(each)]
        return in_batches(base, prompts, new, lambda some: row_adapters(several, [of_prompts[i] for i in some]))

    lab.attempt(lambda: measure(lab, together, prompts, options.new), shape=shape, contender=TOGETHER, adapters=number)
    return {"adapters": number, "prompts_each": each}


def in_batches(
    model: Any, prompts: Prompts, new: int, adapters: Callable[[Sequence[int]], Any] = lambda some: None
) -> list[list[int]]:
    """As the engine `hf` does, in batches of as many tokens as it puts together.

    Args:
        adapters: those of the rows of a batch, of which it gets the prompts' indices.
    """
    from loragrid.inference.batching import BATCH_TOKENS, batches
    from loragrid.inference.generation import generate_together
    from loragrid.inference.protocol import Decoding

    found = []
    for some in batches([len(prompt) + new for prompt in prompts], BATCH_TOKENS[model.device.type], of_one_length=False):
        batch = (model, [prompts[i] for i in some], [0] * len(some), Decoding(new), [], PAD, lambda ids: False)
        found += [one.token_ids for one in generate_together(*batch, adapters=adapters(some))]
    return found


def table_of_adapters(lines: Sequence[Mapping[str, Any]], shape: str, options: Namespace) -> str:
    """What was measured with several adapters on one shape."""
    found = [line for line in lines if line.get("shape") == shape and line.get("contender") in (ONE_AFTER_ANOTHER, TOGETHER)]
    usual = found[0].get("tokens_per_s", 0) if found else 0
    rows = [
        [
            line["contender"],
            f"{line['tokens_per_s']:,}" if "tokens_per_s" in line else "failed" if "failed" in line else "–",
            f"{line['tokens_per_s'] / usual:.2f}" if usual and "tokens_per_s" in line else "",
            f"{line['peak_gib']:.1f} GiB" if line.get("peak_gib") is not None else "",
        ]
        for line in found
    ]
    about = f"{options.adapters} adapters, {options.prompts_per_adapter} prompts each, {options.new} new tokens each."
    return f"\n**{shape}**: {about}\n\n{markdown(['', 'new tokens/s', '×', 'memory'], rows)}\n"


def table(lines: Sequence[Mapping[str, Any]], shape: str, prompts: Prompts, new: int) -> str:
    """What was measured on one shape."""
    found = [line for line in lines if line.get("shape") == shape and "contender" in line and "adapters" not in line]
    usual = max((line.get("tokens_per_s", 0) for line in found if line["contender"].startswith("`generate")), default=0)
    rows = []
    for line in found:
        if "tokens_per_s" not in line:
            rows.append([line["contender"], "failed" if "failed" in line else "–", "", ""])
            continue
        memory = "" if line["peak_gib"] is None else f"{line['peak_gib']:.1f} GiB"
        times = f"{line['tokens_per_s'] / usual:.2f}" if usual else ""
        rows.append([line["contender"], f"{line['tokens_per_s']:,}", times, memory])
    about = f"{len(prompts)} prompts of {sum(map(len, prompts)) / len(prompts):.0f} tokens on average, {new} new tokens each."
    return f"\n**{shape}**: {about}\n\n{markdown(['', 'new tokens/s', '× best `generate()`', 'memory'], rows)}\n"
