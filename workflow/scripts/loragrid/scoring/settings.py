"""The scorers that a configuration can name, with all their settings and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, Literal, Self, TypedDict

from pydantic import Field, StringConstraints, TypeAdapter, field_validator, model_validator

from loragrid.scoring.rubrics import read_rubric
from loragrid.sections import Name, Price, PythonFunction, Section, Server
from loragrid.text.labels import mentions_of

Tokenizer = Literal["default", "unicode"]


NonEmpty = Annotated[str, StringConstraints(min_length=1)]


class RougeScorer(Section):
    """ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum F-measures (Lin 2004), 0 to 1, by the `rouge-score` package."""

    type: Literal["rouge"] = Field(description="Chooses this scorer.")
    stemmer: bool = Field(True, description="Compare word stems (Porter, for English) instead of words.")
    tokenizer: Tokenizer = Field(
        "default",
        description="`default`: words of Latin letters and digits, as the package has it; `unicode`: words of any script, and single characters of "
        "scripts that are written without spaces.",
    )
    split_sentences: bool = Field(
        False, description="For ROUGE-Lsum: cut texts into sentences; by default each line is one, as the package has it."
    )


class BleuScorer(Section):
    """BLEU (Papineni et al. 2002), 0 to 100, by `sacrebleu`: of each example, and over all of them together (`corpus_bleu`)."""

    type: Literal["bleu"] = Field(description="Chooses this scorer.")
    tokenize: Literal["13a", "intl", "char", "zh"] = Field("13a", description="Tokenizer of `sacrebleu`.")
    lowercase: bool = Field(False, description="Ignore case.")


class ChrfScorer(Section):
    """chrF (Popović 2015), 0 to 100, by `sacrebleu`: of each example, and over all of them together (`corpus_chrf`)."""

    type: Literal["chrf"] = Field(description="Chooses this scorer.")
    word_order: int = Field(0, ge=0, le=4, description="Longest word n-grams; 2 is chrF++.")


class ExactMatchScorer(Section):
    """1 if the prediction equals the reference, else 0."""

    type: Literal["exact_match"] = Field(description="Chooses this scorer.")
    normalise: bool = Field(True, description="Ignore case, punctuation, articles and extra white space, as SQuAD does.")


class SquadScorer(Section):
    """Exact match and F1 over words, 0 to 1, as in the evaluation of SQuAD (Rajpurkar et al. 2016)."""

    type: Literal["squad"] = Field(description="Chooses this scorer.")


class TokenF1Scorer(Section):
    """Precision, recall and F1 over the words of any script, case aside, 0 to 1."""

    type: Literal["token_f1"] = Field(description="Chooses this scorer.")


class LabelScorer(Section):
    """Accuracy of classification; an answer without a label is `undecided`, and wrong. Over all examples: `macro_f1`."""

    type: Literal["label"] = Field(description="Chooses this scorer.")
    labels: dict[NonEmpty, list[NonEmpty]] | list[NonEmpty] = Field(
        min_length=2, description="The labels: a list, or a mapping of each to the list of its synonyms. Case is ignored."
    )
    read: Literal["first", "whole"] = Field(
        "first",
        description="`first`: the label that is mentioned first, as a whole word, counts; `whole`: an answer must be a label.",
    )

    @field_validator("labels", mode="before")
    @classmethod
    def _are_texts(cls, labels: Any) -> Any:
        synonyms = list(labels.values()) if isinstance(labels, Mapping) else []
        if not isinstance(labels, Mapping | list) or not all(isinstance(one, list) for one in synonyms):
            raise ValueError("expected a list of labels, or a mapping of each to the list of its synonyms")
        if any(isinstance(one, bool) for one in (*labels, *chain.from_iterable(synonyms))):
            raise ValueError("expected texts; in YAML true, false, yes and no are none unless they stand in quotes")
        return labels

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        mentions_of(self.labels)
        return self


class NumberScorer(Section):
    """1 if prediction and reference hold the same number, else 0."""

    type: Literal["number"] = Field(description="Chooses this scorer.")
    read: Literal["first", "last"] = Field("last", description="Which number of a text counts.")
    tolerance: float = Field(0.0, ge=0, description="Largest difference, as a share of the reference's number.")


class SpansScorer(Section):
    """Precision, recall and F1 over typed spans, such as named entities: of each example, and over all of them (`micro_…`).

    A text lists its spans as `TYPE: text`, one a line or separated by `;` or `|`; or as JSON, a list of objects with `type` and `text`.
    """

    type: Literal["spans"] = Field(description="Chooses this scorer.")
    format: Literal["lines", "json", "bio"] = Field(
        "lines", description="How spans are written: `lines`, `json`, or one BIO tag for each word of the input (`bio`)."
    )
    case: bool = Field(False, description="Heed the case of the spans' texts.")


class TrueFalseScorer(Section):
    """1 if a text's verdict, true or false, is that of the reference, else 0; `tie` is 1 where the prediction has none.

    The verdict is what occurs more often in the lower-cased text, `true` or `false`. A tie is wrong unless the reference ties too.
    """

    type: Literal["true_false"] = Field(description="Chooses this scorer.")
    cut: bool = Field(True, description="Read predictions and references up to their first `.` only.")


class RefusalScorer(Section):
    """1 if an answer declines to answer, by the phrases with which that is usually done, else 0."""

    type: Literal["refusal"] = Field(description="Chooses this scorer.")
    phrases: list[NonEmpty] = Field(default=[], description="Further phrases that tell a refusal; case is ignored.")


class LengthScorer(Section):
    """Length of an answer in `words` and `characters`, and of its words as a share of the reference's (`length_ratio`)."""

    type: Literal["length"] = Field(description="Chooses this scorer.")


class SbertScorer(Section):
    """Cosine similarity of sentence embeddings (Reimers & Gurevych 2019)."""

    type: Literal["sbert"] = Field(description="Chooses this scorer.")
    encoder: Name = Field(description="Name of the encoder, from `encoders`.")


class BertScoreScorer(Section):
    """BERTScore: precision, recall and F1 over the nearest contextual embeddings of tokens (Zhang et al. 2020, arXiv:1904.09675)."""

    type: Literal["bertscore"] = Field(description="Chooses this scorer.")
    encoder: Name = Field(description="Name of the encoder, from `encoders`.")
    layer: int | None = Field(None, ge=0, description="Layer whose embeddings are compared; by default the last.")
    baseline: str | None = Field(
        None,
        description="File of baselines as the package `bert-score` has them (CSV with the columns LAYER, P, R, F): values are rescaled, so that "
        "unrelated texts have about 0.",
    )


class RewardScorer(Section):
    """Scores of a reward model: of the prediction (`reward`), of the reference, and the share of preference for the prediction.

    The `preference` is the softmax over both scores (Bradley & Terry 1952).
    """

    type: Literal["reward"] = Field(description="Chooses this scorer.")
    model: Name = Field(description="Name of the reward model, from `reward_models`.")
    label: int = Field(0, ge=0, description="Which output of the classifier is the score.")


class PerplexityScorer(Section):
    """Perplexity of the answer under a base model, and of the reference (`reference_perplexity`): low for usual text."""

    type: Literal["perplexity"] = Field(description="Chooses this scorer.")
    model: Name = Field(description="Name of the base model, from `models`.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Number type; the same everywhere, so that values can be compared."
    )


NO_FURTHER_FIELDS = frozenset(
    ("model", "messages", "temperature", "max_tokens", "max_completion_tokens", "response_format", "n", "best_of", "stream")
)


class JudgeScorer(Server):
    """A language model as judge, behind any server with an OpenAI-compatible API. Its rubric says what it is asked and what it gives."""

    type: Literal["judge"] = Field(description="Chooses this scorer.")
    rubric: Name = Field(description="Name of a file under `data/prompts/judges/`, without `.yaml`.")
    model: str = Field(description="The judge's name on the server.")
    concurrency: int = Field(
        8, ge=1, description="Most requests at a time, of all jobs together: only one job at a time asks a judge."
    )
    against: Literal["reference", "base"] = Field(
        "reference",
        description="What a pairwise rubric compares an answer with: the `reference`, or the answer of the `base` model, asked alike.",
    )
    baselines: bool = Field(True, description="Judge the trivial baselines as well.")
    temperature: float | None = Field(0, ge=0, description="Null leaves it out of the request, for models that refuse it.")
    max_new_tokens: int = Field(512, ge=1, description="Longest judgement, in tokens.")
    structured: Literal["auto", "json_schema", "off"] = Field(
        "auto",
        description="Ask the server for JSON in the rubric's form: `auto` goes on without, if the server refuses. Whatever comes is read tolerantly.",
    )
    requests_per_minute: float | None = Field(
        None, gt=0, description="Most requests a minute, evenly spaced; by default as fast as it goes."
    )
    price: Price | None = Field(None, description="What the judge costs, by its tokens.")
    budget: float | None = Field(
        None,
        gt=0,
        description="Most that all answers of this judge may cost, by its `price`, those of earlier runs included; before it could be exceeded, the job "
        "ends. A request without an answer counts with the most that it can have cost: a token for each byte of it (and 256 for what a server adds), "
        "and `max_new_tokens`; so does an answer whose tokens the server does not count.",
    )

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.budget is not None and (
            self.price is None or not (self.price.million_prompt_tokens or self.price.million_new_tokens)
        ):
            raise ValueError("budget needs a price of tokens")
        if self.price is not None and self.price.hour:
            raise ValueError("price.hour: a judge is paid by its tokens")
        if given := self.settings.keys() & NO_FURTHER_FIELDS:
            raise ValueError(
                f"settings.{min(given)}: this field of a request is not to be set; a judge has keys of its own for what it needs"
            )
        return self


class EvaluateScorer(Section):
    """A metric of Hugging Face `evaluate`, computed for each answer by itself; one on which it raises counts as failed."""

    type: Literal["evaluate"] = Field(description="Chooses this scorer.")
    metric: str = Field(description="Folder on this machine with the metric's module (`path/to/name`), or its name on the hub.")
    metrics: list[Name] = Field(min_length=1, description="Which numbers of its result are kept.")
    lower_is_better: list[Name] = Field(
        default=[],
        description="Those of them of which less is better. A score that fails counts as 0 in means, but not for these.",
    )
    arguments: dict[str, Any] = Field(default={}, description="Further arguments of its `compute`.")
    revision: str | None = Field(None, description="Of a metric on the hub: tag or commit of its repository.")
    trust_remote_code: bool = Field(
        False,
        description="Allow a metric of the hub, whose code is downloaded and run. A folder on this machine is your own code.",
    )


class CustomScorer(Section):
    """A function of yours.

    It is called once, with the keywords `predictions` (texts), `references` (a list of texts for each), `prompts` (instruction and input of each test
    example) and the `arguments`, and gives for each answer a number, a mapping of metric to number, or None where there is nothing to say. Where it
    raises, it is called for one answer at a time; those on which it raises count as failed.
    """

    type: Literal["custom"] = Field(description="Chooses this scorer.")
    function: PythonFunction = Field(description="The function, as `path.py:function`.")
    metrics: list[Name] = Field(default=["value"], min_length=1, description="The names of the metrics that it gives.")
    lower_is_better: list[Name] = Field(
        default=[],
        description="Those of them of which less is better. A score that fails counts as 0 in means, but not for these.",
    )
    arguments: dict[str, Any] = Field(default={}, description="Further arguments of the function.")


class HumanScorer(Section):
    """What people say: filled sheets of a human evaluation. A metric for each criterion, and their `mean`."""

    type: Literal["human"] = Field(description="Chooses this scorer.")
    evaluation: Name = Field(description="Which, from `human_evaluations`.")
    sheets: list[str] = Field(min_length=1, description="Filled sheets, CSV or XLSX; the file's name is that of the annotator.")


class RatingsScorer(Section):
    """Ratings in a plain file without header: index, query, answer and one column for each criterion; a metric for each, and their `mean`.

    A rating holds for the prediction that answers the same query (the input of the test example) with the same text, as far as it was shown: whole, or
    up to its first `.`. Commas in query and answer need no quotes: a row is read from its right end.
    """

    type: Literal["ratings"] = Field(description="Chooses this scorer.")
    file: str = Field(description="The file, CSV.")
    criteria: list[Name] = Field(min_length=1, description="What the columns at the right are, in their order.")
    runs: list[str] | None = Field(
        None,
        min_length=1,
        description="Whose answers were rated: names of runs, of external predictions, or `base`. By default those of all that say the same.",
    )

    @model_validator(mode="after")
    def _mean_is_taken(self) -> Self:
        if "mean" in self.criteria or len(set(self.criteria)) < len(self.criteria):
            raise ValueError("criteria must have names of their own, other than 'mean'")
        return self


Scorer = Annotated[
    RougeScorer
    | BleuScorer
    | ChrfScorer
    | ExactMatchScorer
    | SquadScorer
    | TokenF1Scorer
    | LabelScorer
    | NumberScorer
    | SpansScorer
    | TrueFalseScorer
    | RefusalScorer
    | LengthScorer
    | SbertScorer
    | BertScoreScorer
    | RewardScorer
    | PerplexityScorer
    | JudgeScorer
    | EvaluateScorer
    | CustomScorer
    | HumanScorer
    | RatingsScorer,
    Field(discriminator="type"),
]


METRICS: dict[str, tuple[str, ...]] = {
    "rouge": ("rouge1", "rouge2", "rougeL", "rougeLsum"),
    "bleu": ("bleu",),
    "chrf": ("chrf",),
    "exact_match": ("exact_match",),
    "squad": ("exact_match", "f1"),
    "token_f1": ("precision", "recall", "f1"),
    "label": ("accuracy", "undecided"),
    "number": ("number_match",),
    "spans": ("precision", "recall", "f1"),
    "true_false": ("accuracy", "tie"),
    "refusal": ("refusal",),
    "length": ("words", "characters", "length_ratio"),
    "sbert": ("cosine",),
    "bertscore": ("precision", "recall", "f1"),
    "reward": ("reward", "reference_reward", "preference"),
    "perplexity": ("perplexity", "reference_perplexity"),
    # These depend on their settings.
    "judge": (),
    "evaluate": (),
    "custom": (),
    "human": (),
    "ratings": (),
}
"""The metrics that each type of scorer gives for an example."""


CORPUS_METRICS: dict[str, tuple[str, ...]] = {
    "bleu": ("corpus_bleu",),
    "chrf": ("corpus_chrf",),
    "label": ("macro_f1",),
    "spans": ("micro_precision", "micro_recall", "micro_f1"),
}
"""The metrics that each type of scorer gives over all examples together."""


LOWER_IS_BETTER: dict[str, tuple[str, ...]] = {
    "label": ("undecided",),
    "true_false": ("tie",),
    "refusal": ("refusal",),
    "perplexity": ("perplexity", "reference_perplexity"),
}
"""Of all other metrics of our own, more is better or says nothing."""


class Kind(TypedDict):
    """What tables and report need to know of a scorer, as plain data."""

    type: str
    lower_is_better: list[str]
    """Metrics of which that is true."""
    worst: dict[str, float | None]
    """What a failed score counts as, by metric, where that is not 0; None: it is left out of means, since there is no worst value."""


def parse_scorer(values: Mapping[str, Any]) -> Scorer:
    """A scorer from its configuration."""
    scorer: Scorer = TypeAdapter(Scorer).validate_python(values)
    return scorer


def scorer_of(raw: Mapping[str, Any], name: str) -> Scorer:
    """All settings of a scorer, from the configuration as YAML gave it."""
    return parse_scorer({str(key): scorer for key, scorer in raw["scorers"].items()}[name])


def decisive_settings(scorer: Scorer) -> dict[str, Any]:
    """Those settings of a scorer that decide what it says; those that decide how fast and how long are left out."""
    if not isinstance(scorer, JudgeScorer):
        return scorer.model_dump(exclude={"lower_is_better"})
    decisive = {"type", "model", "against", "temperature", "max_new_tokens", "structured", "settings"}
    return scorer.model_dump(include=decisive) | {"rubric": read_rubric(scorer.rubric).model_dump()}


def model_of(scorer: Scorer) -> str | None:
    """The name of the model that a scorer loads, if any."""
    match scorer:
        case SbertScorer() | BertScoreScorer():
            return scorer.encoder
        case RewardScorer() | PerplexityScorer():
            return scorer.model
    return None


def is_light(scorer: Scorer) -> bool:
    """Whether a scorer takes seconds: it loads no model, asks nobody and runs nobody else's code."""
    return model_of(scorer) is None and not isinstance(scorer, JudgeScorer | CustomScorer | EvaluateScorer)


def scorer_files(scorer: Scorer) -> dict[str, str]:
    """The files on this machine that a scorer reads, by their keys."""
    match scorer:
        case CustomScorer():
            return {"function": scorer.function.rpartition(":")[0]}
        case EvaluateScorer() if "/" in scorer.metric and not scorer.trust_remote_code:
            return {"metric": scorer.metric}
        case BertScoreScorer() if scorer.baseline is not None:
            return {"baseline": scorer.baseline}
        case HumanScorer():
            return {f"sheets[{i}]": path for i, path in enumerate(scorer.sheets)}
        case RatingsScorer():
            return {"file": scorer.file}
    return {}


def kind_of(scorer: Scorer) -> Kind:
    """What tables and report need to know of a scorer."""
    lower = list(LOWER_IS_BETTER.get(scorer.type, ()))
    worst: dict[str, float | None] = {}
    match scorer:
        case EvaluateScorer() | CustomScorer():
            lower = list(scorer.lower_is_better)
        case RewardScorer():
            worst = dict.fromkeys(METRICS["reward"])
        case JudgeScorer():
            rubric = read_rubric(scorer.rubric)
            worst = {name: range_.minimum for name, range_ in rubric.scores.items()} | dict.fromkeys(rubric.derived)
    return {"type": scorer.type, "lower_is_better": lower, "worst": dict.fromkeys(lower) | worst}


def metrics_of(scorer: Scorer, criteria: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics that a scorer gives for an example.

    Args:
        criteria: those of each human evaluation.
    """
    match scorer:
        case EvaluateScorer() | CustomScorer():
            return tuple(scorer.metrics)
        case HumanScorer():
            return (*criteria.get(scorer.evaluation, ()), "mean")
        case RatingsScorer():
            return (*scorer.criteria, "mean")
        case JudgeScorer():
            return read_rubric(scorer.rubric).metrics
    return METRICS[scorer.type]
