"""The other end of the engine `vllm`: it runs in an environment that has vLLM, reads questions from stdin and writes answers.

It imports nothing of loragrid, since the packages that loragrid needs may be missing. One JSON object per line, see
`vllm_process.py`.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from importlib.util import find_spec


def main() -> None:
    """Answer all questions to one model and its adapters, of one job or of several."""
    # Only answers go to stdout. Everything else that a library or its C code prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    if find_spec("vllm") is None:
        answers.write(json.dumps({"is_missing": True}) + "\n")
        return

    from importlib.metadata import packages_distributions, version

    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest
    from vllm.platforms import current_platform

    if job["picks_dtype"] and current_platform.is_cuda():
        job["arguments"]["dtype"] = "bfloat16" if current_platform.has_device_capability(80) else "float32"
    llm = LLM(**job["arguments"])
    engine = llm.llm_engine
    distribution = packages_distributions()["vllm"][0]
    about = {
        "version": version(distribution),
        "device": current_platform.get_device_name() if current_platform.is_cuda() else current_platform.device_type,
        "dtype": str(engine.vllm_config.model_config.dtype).removeprefix("torch."),
    }
    answers.write(json.dumps(about) + "\n")

    adapters: dict[str, LoRARequest] = {}
    numbers = itertools.count(1)
    for line in sys.stdin:
        order = json.loads(line)
        # What is not asked any more makes room, so that a slot stays free.
        for name in adapters.keys() - order["adapters"].keys():
            engine.remove_lora(adapters.pop(name).lora_int_id)
        for name, folder in order["adapters"].items():
            if name not in adapters:
                adapters[name] = LoRARequest(name, next(numbers), folder)
        started = time.perf_counter()
        for number, question in enumerate(order["questions"]):
            parameters = SamplingParams(**order["sampling"], seed=question["seed"])
            prompt = {"prompt_token_ids": question["ids"]}
            engine.add_request(str(number), prompt, parameters, lora_request=adapters.get(question["adapter"]))
            if order["alone"]:
                answer_added(engine, answers, started)
        answer_added(engine, answers, started)


def answer_added(engine, answers, started) -> None:  # type: ignore[no-untyped-def]
    """Run the engine until nothing is left, and write each answer as soon as it is there.

    Time in the queue is the time until the first token of an answer was computed.
    """
    first_seen: dict[str, float] = {}
    last_step = time.perf_counter()
    while engine.has_unfinished_requests():
        outputs = engine.step()
        running = max(1, len(outputs))
        now = time.perf_counter()
        for output in outputs:
            first_seen.setdefault(output.request_id, last_step)
            if output.finished:
                answer = output.outputs[0]
                began = first_seen.pop(output.request_id)
                found = {
                    "number": int(output.request_id),
                    "token_ids": list(answer.token_ids),
                    "text": answer.text,
                    "finish_reason": "length" if answer.finish_reason == "length" else "stop",
                    "queue_s": began - started,
                    "compute_s": now - began,
                    "running": running,
                }
                if output.prompt_logprobs is not None:
                    # The first token comes after nothing.
                    told = zip(output.prompt_token_ids, output.prompt_logprobs, strict=True)
                    found["prompt_logprobs"] = [of_place and of_place[token].logprob for token, of_place in told]
                answers.write(json.dumps(found) + "\n")
        last_step = now


if __name__ == "__main__":
    main()
