"""Scorers: the settings by which a configuration chooses one, and all that other modules need to know about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import StringConstraints

from loragrid.errors import unknown_name
from loragrid.records import Likelihood, Prediction
from loragrid.scoring.protocol import ScorerFunction
from loragrid.sections import Price, Section, decisive

ModelSection = Literal["models", "encoders", "reward_models"]


Kind = Literal["people", "judge", "length", "metric"]
"""Who or what scores: people; a model that judges; the length alone; or anything else that is computed."""


NonEmpty = Annotated[str, StringConstraints(min_length=1)]


class RatedCriteria(Section):
    """The settings of a human evaluation that decide on the scores from its sheets."""

    seed: int
    criteria: dict[str, list[float]]
    """The values of each criterion that can be chosen."""


class GivenTexts(NamedTuple):
    """The texts of an example that a scorer wants to know the likelihood of, as answers under the model that is evaluated."""

    references: bool = False
    choices: tuple[str, ...] = ()
    """Templates of further texts, over the example's `instruction`, `input` and `metadata`."""


CriteriaOf = Mapping[str, Mapping[str, Sequence[float]]]
"""The criteria of each human evaluation, with the values that can be chosen."""


class ScorerInputs(NamedTuple):
    """What a score job has for its scorer, besides the answers."""

    name: str = ""
    """The scorer's name in the configuration."""
    model_folder: Path | None = None
    """Folder of the model that the scorer loads."""
    base: Sequence[Prediction] | None = None
    """The base model's answers, for scorers that compare with them."""
    human_evaluation: RatedCriteria | None = None
    """The human evaluation, for scorers that read its sheets."""
    likelihoods: Mapping[tuple[str, int], Sequence[Likelihood]] | None = None
    """How likely texts are as answers, by the example's id and the number of its prompt, for scorers that read that."""


class ScorerFacts(Section):
    """What tables and report need to know about a scorer."""

    type: str
    lower_is_better: list[str]
    """The metrics for which less is better."""
    worst: dict[str, float | None]
    """The value as which a failed score counts, by metric, if not 0. None: there is no worst value; means leave the score out."""


class Requests(NamedTuple):
    """What a scorer asks of a server, as the plan needs it."""

    per_answer: int
    own_characters: int
    """Characters of a prompt, besides the texts of the example."""
    max_new_tokens: int
    at_once: int


class Named(Protocol):
    """The sections of a configuration whose entries scorers name."""

    @property
    def models(self) -> Mapping[str, Any]: ...
    @property
    def encoders(self) -> Mapping[str, Any]: ...
    @property
    def reward_models(self) -> Mapping[str, Any]: ...
    @property
    def human_evaluations(self) -> Mapping[str, Any]: ...


class ScorerSettings(Section, ABC):
    """A scorer as a configuration describes it.

    The field `type` of each subclass is a `Literal` by which a configuration chooses it. Class attributes and methods say what
    other modules need to know. All methods but `build` are called while the workflow is planned: slow imports belong in `build`.
    """

    type: str

    edition: ClassVar[int] = 0
    """How often its values have changed for the same answers. Raised by one, all of its scores are made again."""
    example_metrics: ClassVar[tuple[str, ...]] = ()
    """The metrics that it gives for an example, if they do not depend on its settings."""
    corpus_metrics: ClassVar[tuple[str, ...]] = ()
    """The metrics that `over_all` gives."""
    low_is_good: ClassVar[tuple[str, ...]] = ()
    """The metrics for which less is better. For all others more is better, or says nothing."""
    limits: ClassVar[tuple[float, float] | None] = None
    """The least and the largest value that its metrics can have, if all have these; intervals then keep within."""
    right_or_wrong: ClassVar[tuple[str, ...]] = ()
    """The metrics of an example that are either the least or the largest value."""
    reads_examples: ClassVar[bool] = False
    """Whether it reads the test examples besides the predictions."""
    reads_labels: ClassVar[bool] = False
    """Whether it looks for a label in a text, with `label_reader`."""
    may_leave_out: ClassVar[bool] = False
    """Whether it may have nothing to say about some answers, which then get no row, or none of some metrics."""
    is_light: ClassVar[bool] = True
    """Whether it takes only seconds: it loads no model, asks no server and runs nobody else's code."""
    starts_slowly: ClassVar[bool] = False
    """Whether it takes longer to start than to score a file, so that its values are kept."""
    needs_all_references: ClassVar[bool] = True
    """Whether every example needs a reference in which it finds what it looks for; else one of them will do."""
    reference_advice: ClassVar[str] = "choose another scorer"
    """What to do in the settings about references in which it finds nothing."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Python packages whose versions decide on values that are kept."""
    kind: ClassVar[Kind] = "metric"
    """Who or what scores."""

    @abstractmethod
    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        """The function that scores answers."""

    @classmethod
    def over_all(cls, sums: Mapping[str, float]) -> dict[str, float]:
        """The metrics over all examples together.

        Args:
            sums: the sums of the `parts` of all examples; without any, each metric is NaN.
        """
        return {}

    def metrics_of_example(self, criteria: CriteriaOf) -> tuple[str, ...]:
        """The metrics that it gives for an example.

        Args:
            criteria: of all human evaluations.
        """
        return self.example_metrics

    def limits_of_metrics(self, criteria: CriteriaOf) -> Mapping[str, tuple[float, float]]:
        """The least and the largest value of each metric that has such.

        Args:
            criteria: of all human evaluations.
        """
        return dict.fromkeys((*self.metrics_of_example(criteria), *self.corpus_metrics), self.limits) if self.limits else {}

    def edition_for(self, has_parts: bool) -> int:
        """Its edition for the answers to a data set.

        Args:
            has_parts: whether the examples have several prompts, whose answers are scored each by itself.
        """
        return self.edition

    def metrics_with_low_good(self) -> Sequence[str]:
        """The metrics for which less is better."""
        return self.low_is_good

    def worst_values(self) -> Mapping[str, float | None]:
        """The value as which a failed score counts, by metric, as in `ScorerFacts`; None for metrics for which less is better."""
        return {}

    def facts(self) -> ScorerFacts:
        """What tables and report need to know about it."""
        low = list(self.metrics_with_low_good())
        return ScorerFacts(type=self.type, lower_is_better=low, worst=dict.fromkeys(low) | dict(self.worst_values()))

    def decisive_settings(self) -> dict[str, Any]:
        """The settings that decide on its scores, without those that only say how fast it works or how long it waits."""
        return decisive(self)

    def files(self) -> dict[str, str]:
        """The files on this machine that it reads, by their keys."""
        return {}

    def problems(self, config: Named) -> Iterator[str]:
        """One sentence for each setting that does not fit the configuration. It begins with the setting's key."""
        yield from ()

    def problems_in_files(self, config: Named) -> Iterator[str]:
        """One sentence for each file that is there and does not hold what it should. It begins with the setting's key."""
        yield from ()

    def reference_check(self) -> Callable[[Sequence[str]], str | None] | None:
        """A function that says why no answer could be right by the references of an example; None if one could be.

        It names the references, and what was expected. Only scorers that look for something in references have such a function.
        """
        return None

    def label_reader(self) -> Callable[[str], str]:
        """A function that gives the label of a text."""
        return str

    @property
    def model_name(self) -> str | None:
        """The name of the model that it loads."""
        return None

    @property
    def human_evaluation(self) -> str | None:
        """The name of the human evaluation whose sheets it reads."""
        return None

    @property
    def rated_runs(self) -> Sequence[str]:
        """The names of runs whose answers were rated, if only the answers of some runs were."""
        return ()

    @property
    def scores_baselines(self) -> bool:
        """Whether it scores the answers of trivial baselines too."""
        return True

    @property
    def compares_with_base(self) -> bool:
        """Whether it compares answers with the base model's answers."""
        return False

    @property
    def given_texts(self) -> GivenTexts | None:
        """The texts whose likelihood it reads. Only models that are asked here have likelihoods."""
        return None

    @property
    def requests(self) -> Requests | None:
        """What it asks of a server."""
        return None

    @property
    def token_price(self) -> Price | None:
        """The price of a server's tokens."""
        return None

    @property
    def judgements(self) -> Path | None:
        """The journal of what a server told it."""
        return None


WHAT: dict[ModelSection, str] = {"models": "base model", "encoders": "encoder", "reward_models": "reward model"}


class ModelScorer(ScorerSettings):
    """A scorer that loads a model of its own."""

    is_light = False
    starts_slowly = True
    packages = ("torch", "transformers", "sentence-transformers")
    model_key: ClassVar[str]
    """The setting that names the model."""
    model_section: ClassVar[ModelSection]
    """The section of the configuration that lists the model."""

    @property
    def model_name(self) -> str:
        name: str = getattr(self, self.model_key)
        return name

    def problems(self, config: Named) -> Iterator[str]:
        models: Mapping[str, Any] = getattr(config, self.model_section)
        if self.model_name not in models:
            yield unknown_name(self.model_key, WHAT[self.model_section], self.model_name, models)
        elif models[self.model_name].source is None:
            yield f"{self.model_key}: '{self.model_name}' has no source, so that it cannot be loaded here."


def required_model(inputs: ScorerInputs) -> Path:
    """The folder of the model that a job gives its scorer."""
    assert inputs.model_folder is not None
    return inputs.model_folder
