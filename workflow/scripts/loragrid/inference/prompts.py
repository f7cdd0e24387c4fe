"""From a base model's files and test examples to prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from loragrid.data.decontamination import without_leaks
from loragrid.data.prompting import AnyPrompting, Showing, make_request
from loragrid.data.render import Rendered, Request, load_renderer, render, render_conversation
from loragrid.data.splitting import subset
from loragrid.errors import DamagedError, UserError
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.settings import AskedModel, PredictSettings
from loragrid.records import Example, read_records
from loragrid.runtime.manifests import read_json
from loragrid.runtime.model_folders import whole_folder
from loragrid.runtime.pretrained import load_config
from loragrid.text.words import some_of


class ModelFiles(NamedTuple):
    """The files of a model that a job asks. All are None if only a server has the model."""

    model: str | None = None
    """Weights of the base model."""
    model_config: str | None = None
    tokenizer: str | None = None
    adapter: str | None = None
    """Weights of an adapter on the base model, or of a fully fine-tuned model."""
    adapter_config: str | None = None


def model_to_ask(name: str, settings: AskedModel, quantization: str, files: ModelFiles, threads: int, job: str) -> ModelToAsk:
    """What an engine is told about a model: its folders, its renderer, its longest prompt."""
    folder = whole_folder(files.model) if files.model else None
    trained = whole_folder(files.adapter) / Path(files.adapter).name if files.adapter else None
    return ModelToAsk(
        name=name,
        folder=folder,
        trained=trained,
        renderer=load_renderer(folder, settings) if folder else None,
        dtype=settings.dtype,
        quantization=quantization,
        context_length=context_length(folder, settings.context_length) if folder else 0,
        threads=threads,
        job=job,
    )


def context_length(folder: Path, configured: int | None) -> int:
    """Maximum length of prompt and answer together, in tokens: as configured, else what the model was made for."""
    own = getattr(load_config(folder).get_text_config(), "max_position_embeddings", None)
    return int(configured or own or 2**20)


def render_all(
    model: ModelToAsk, system_prompt: str | None, requests: Iterable[Request], max_new_tokens: int
) -> list[Rendered | None]:
    """The prompts of requests, with room left for an answer; None for a request that does not fit even without any input.

    Args:
        system_prompt: for a model that has no renderer here.
    """
    if model.renderer is None:
        return [render_conversation(system_prompt, request) for request in requests]
    return [render(model.renderer, request, None, model.context_length, reserve=max_new_tokens) for request in requests]


class AskedExample(NamedTuple):
    """A test example with its prompts, one for each of its parts."""

    example: Example
    prompts: list[Rendered]

    @property
    def is_cut(self) -> bool:
        """Whether a prompt lacks demonstrations, or a part of the input, because the whole would not fit."""
        return any(prompt.truncated for prompt in self.prompts)


def asked_examples(
    settings: PredictSettings, model: ModelToAsk, test: str, train: str | None, demonstrations: str | None
) -> list[AskedExample]:
    """The test or validation examples that a job asks.

    Args:
        test: file of these examples.
        train: file of the examples that prompts show.
        demonstrations: file with the ids of the examples that prompts show, by the test example's id.

    Raises:
        UserError: if a prompt does not fit into the model's context, or has no tokens, or if there is none.
    """
    shown = read_demonstrations(train, demonstrations) if train and demonstrations else {}
    asked = []
    for example in subset(read_records(test, Example), settings.subset):
        try:
            requests = [make_request(part, settings.instruction, shown.get(example.id, [])) for part in example.parts]
            rendered = render_all(model, settings.model.system_prompt, requests, settings.how.max_new_tokens)
        except UserError as error:
            raise UserError(f"{test}, example {example.id}: {error}") from None
        asked.append(AskedExample(example, list(_fitting(rendered, model, f"{test}: the prompt of {example.id}"))))
    if not asked:
        # Test sets have examples.
        raise UserError(f"{test}: there are no examples to ask; the source of the data set has to give or to cut this split.")
    return asked


def _fitting(rendered: Iterable[Rendered | None], model: ModelToAsk, what: str) -> Iterator[Rendered]:
    prompts = list(rendered)
    if None in prompts:
        raise UserError(f"{what} does not fit into the model's context.")
    for prompt in prompts:
        if prompt is not None:
            if model.renderer and not prompt.prompt_ids:
                raise UserError(f"{what} has no tokens; check its fields and the template.")
            yield prompt


def read_demonstrations(train: str, demonstrations: str) -> dict[str, Sequence[Example]]:
    """The examples that prompts show, by the test example's id."""
    examples = {example.id: example for example in read_records(train, Example)}
    chosen: dict[str, list[str]] = read_json(demonstrations)
    if unknown := sorted({id_ for ids in chosen.values() for id_ in ids} - examples.keys()):
        raise DamagedError(demonstrations, f"it names examples that {train} does not have: {some_of(unknown)}")
    return {test_id: [examples[id_] for id_ in ids] for test_id, ids in chosen.items()}


def leaking_demonstrations(
    prompting: AnyPrompting, test: str, train: str | None, demonstrations: str | None
) -> dict[str, list[str]]:
    """The entries of a manifest about training examples that the test set holds too.

    The ids of those that no prompt shows, and of those that a prompt shows although none should. No entry if there are none.

    Args:
        test, train, demonstrations: as in `asked_examples`.
    """
    if not (train and demonstrations and isinstance(prompting, Showing)):
        return {}
    _, held = without_leaks(read_records(train, Example), read_records(test, Example), prompting.leaks_by_output)
    chosen: dict[str, list[str]] = read_json(demonstrations)
    shown = {id_ for ids in chosen.values() for id_ in ids}
    entries = {
        "left_out_because_tested": sorted(held.keys() - shown),
        "shown_although_tested": sorted(held.keys() & shown),
    }
    return {key: ids for key, ids in entries.items() if ids}
