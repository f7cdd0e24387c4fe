"""Proof that a model generates as promised: greedily, the same every time, not like its base, and alike in all engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.data.render import Rendered, end_tokens, zero_shot
from loragrid.data.splitting import subset
from loragrid.errors import UserError
from loragrid.inference.engine import EngineSettings, ModelToAsk, OpenEngine, open_engine
from loragrid.inference.kept_engines import KeptEngines
from loragrid.inference.prompts import ModelFiles, model_to_ask, render_all
from loragrid.inference.protocol import Answer, AnswerFunction, Decoding, generate
from loragrid.inference.settings import CheckSettings
from loragrid.records import Example, read_records
from loragrid.runtime.files import place_of, write_json
from loragrid.text.thoughts import tell_apart
from loragrid.text.words import normalise_space

if TYPE_CHECKING:
    from loragrid.models.loading import LoadBase

Check = dict[str, Any]
"""Whether the model `passed` (None: the check does not apply), and the `evidence`."""


class CheckFiles(NamedTuple):
    """What a job that checks a model reads and writes."""

    result: str
    """Is written."""
    test: str
    model: ModelFiles
    kept_in: str | None = None
    """The folder that gets the result, under its own name, if the job works ahead."""


class CheckJob(NamedTuple):
    """A job that checks a model."""

    base_model: str
    """Its name in the configuration."""
    settings: CheckSettings
    engine: EngineSettings
    """The engine of the settings, with the keys that change only speed."""
    files: CheckFiles
    threads: int

    @property
    def loads_reference(self) -> bool:
        """Whether the job also loads the model with the engine with which other engines are compared."""
        return bool(self.files.model.model) and (self.engine.is_reference or self.settings.checks.compare_engines)

    @property
    def computes_here(self) -> bool:
        """Whether the model is loaded on this machine."""
        return self.loads_reference or not self.engine.is_server


def check_model(job: CheckJob, open_engine: OpenEngine = open_engine, load: LoadBase | None = None) -> None:
    """Check a model and write the outcome.

    Args:
        load: gives the base model to the engine `hf`; by default `load_base_model`. Where another engine is compared with it, the
            model is loaded anew and freed at once.

    Raises:
        UserError: if the model fails a check. The evidence is then in a file beside the result. Work done ahead leaves none:
            the job whose work it was checks again, and tells.
    """
    settings, files = job.settings, job.files
    decoding = Decoding(max_new_tokens=settings.checks.max_new_tokens)
    model = model_to_ask(job.base_model, settings.model, settings.quantization, files.model, job.threads, job=files.result)
    examples = subset(read_records(files.test, Example), settings.checks.examples)
    requests = [zero_shot(example.parts[0]) for example in examples]
    rendered = render_all(model, settings.model.system_prompt, requests, decoding.max_new_tokens)
    if not (prompts := [prompt for prompt in rendered if prompt is not None]):
        raise UserError(f"{files.test}: none of the first {len(examples)} prompts fits into the model's context.")

    checks = _checks(job, model, prompts, decoding, open_engine, load)
    found = {"examples": [example.id for example in examples], "checks": checks}
    failed = [name for name, check in checks.items() if check["passed"] is False]
    evidence = evidence_of(files.result)
    if failed and files.kept_in:
        raise UserError(f"{files.result}: the model does not pass: {', '.join(failed)}.")
    if failed:
        write_json(evidence, found)
        raise UserError(f"{files.result}: the model does not pass: {', '.join(failed)}; the evidence is in {evidence}.")
    write_json(place_of(files.result, files.kept_in), found)
    if not files.kept_in:
        evidence.unlink(missing_ok=True)


def evidence_of(result: str | Path) -> Path:
    """Where the outcome of a check is that a model failed. Who puts the outcome of a passed check into its place removes it."""
    return Path(result).with_suffix(".failed.json")


def _checks(
    job: CheckJob,
    model: ModelToAsk,
    prompts: Sequence[Rendered],
    decoding: Decoding,
    open_engine: OpenEngine,
    load: LoadBase | None,
) -> dict[str, Check]:
    """All checks of a model with its engine, by name."""
    checks: dict[str, Check] = {}
    of_reference = None
    if job.loads_reference:
        # Two engines never hold memory at the same time.
        if isinstance(open_engine, KeptEngines) and not job.engine.is_reference:
            open_engine.let_go()
        checks, of_reference = check_with_reference(model, prompts, decoding, load if job.engine.is_reference else None)
        if job.engine.is_reference:
            return checks
    ends = end_tokens(model.renderer, model.folder) if model.renderer and model.folder else []
    with open_engine(job.engine, model) as engine:
        exact = (engine.dtype if job.engine.knows_number_type else model.dtype) == "float32"
        repeatable = job.engine.repeats_itself
        of_engine, answers = check_generation(engine.answer, prompts, decoding, ends, exact and repeatable, repeatable)
    checks = {name: check for name, check in checks.items() if name == "differs from base"} | of_engine
    if of_reference is not None:
        checks["same text as hf"] = same_texts(answers, of_reference, strict=exact)
    return checks


def check_with_reference(
    model: ModelToAsk, prompts: Sequence[Rendered], decoding: Decoding, load: LoadBase | None = None
) -> tuple[dict[str, Check], list[Answer]]:
    """Check a model that the engine `hf` loads, then free its memory on the device.

    Args:
        load: as in `check_model`.

    Returns:
        The checks by name, and the answers.
    """
    import torch

    from loragrid.inference.batching import BATCH_TOKENS, answer_with
    from loragrid.models.device import free_cached_memory
    from loragrid.models.loading import load_base_model, load_trained

    assert model.folder is not None
    assert model.renderer is not None
    torch.set_num_threads(model.threads)
    base = (load or load_base_model)(model.folder, model.dtype, model.quantization, None)
    exact = base.dtype == torch.float32 and model.quantization == "none"
    base_logits = [last_logits(base, prompt.prompt_ids) for prompt in prompts] if model.trained else []
    loaded, ends = load_trained(base, model.trained, model.dtype), end_tokens(model.renderer, model.folder)
    checks = {"differs from base": differs_from_base(loaded, base_logits, prompts)} if model.trained else {}
    answer = answer_with(loaded, model.renderer, ends, BATCH_TOKENS["cpu"])
    of_generation, answers = check_generation(answer, prompts, decoding, ends, exact)
    del base, loaded, answer
    free_cached_memory()
    return checks | of_generation, answers


def check_generation(
    answer: AnswerFunction,
    prompts: Sequence[Rendered],
    decoding: Decoding,
    ends: Sequence[int],
    exact: bool,
    repeatable: bool = True,
) -> tuple[dict[str, Check], list[Answer]]:
    """Have an engine answer the same prompts in several ways and compare.

    Args:
        decoding: a greedy decoding.
        ends: ids that end an answer.
        exact: whether the number type is wide enough for the answers to be the same in a batch. In a narrower type, the shape of
            a batch changes the rounding, and now and then a token.
        repeatable: whether the engine promises the same answer twice.

    Returns:
        The checks by name, and the answers to each prompt by itself.
    """

    def one_by_one(seed: int) -> list[Answer]:
        # If the model sampled, different seeds would give different texts.
        alone = decoding._replace(seed=seed, latency=True)
        return [answers[0] for answers in generate(answer, prompts, alone)]

    first, second = one_by_one(0), one_by_one(1)
    together = [answers[0] for answers in generate(answer, prompts, decoding)]
    with_tokens = [alone for alone in first if alone.token_ids]
    checks = {
        "same text twice": same_texts(first, second, strict=repeatable),
        "same text in a batch": same_texts(first, together, strict=exact and repeatable),
        "end token or length": {
            "passed": all((alone.token_ids[-1] in ends) == (alone.finish_reason == "stop") for alone in with_tokens)
            and all(alone.new_tokens == decoding.max_new_tokens for alone in first if alone.finish_reason == "length"),
            "evidence": [[alone.finish_reason, alone.new_tokens] for alone in first],
        },
    }
    return checks, first


def same_texts(first: Sequence[Answer], second: Sequence[Answer], strict: bool) -> Check:
    """Whether answers are the same. Different answers are a failure only if `strict`."""
    same = all(_whole(a) == _whole(b) for a, b in zip(first, second, strict=True))
    return {
        "passed": same if same or strict else None,
        "evidence": [[a.text, b.text] for a, b in zip(first, second, strict=True)],
    }


def _whole(answer: Answer) -> str:
    """An answer with its thoughts. A server may have told them apart, and left out their marks."""
    found = tell_apart(answer.text)
    return normalise_space(" ".join([answer.thoughts, *found])) if answer.thoughts or found.thoughts else answer.text


def differs_from_base(model: Any, base_logits: Sequence[Any], prompts: Sequence[Rendered]) -> Check:
    """Whether a trained model's logits after each prompt differ from its base model's logits."""
    differences = [
        float((last_logits(model, p.prompt_ids) - base).abs().max()) for p, base in zip(prompts, base_logits, strict=True)
    ]
    return {"passed": all(d > 0 for d in differences), "evidence": differences}


def last_logits(model: Any, prompt_ids: Sequence[int]) -> Any:
    """Logits after a prompt, of shape (vocabulary,)."""
    import torch

    ids = torch.tensor([prompt_ids], device=model.device)
    with torch.inference_mode():
        return model(input_ids=ids).logits[0, -1]
