"""Whether scorers find in the references of a test set what they look for: no answer to the others could be right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from loragrid.data.answers import without_thoughts
from loragrid.data.splitting import subset
from loragrid.data.tasks import Task
from loragrid.errors import UserError
from loragrid.records import Example
from loragrid.runtime.job import log
from loragrid.scoring.registry import scorer_of
from loragrid.scoring.scorer import ScorerSettings
from loragrid.sections import entry_of

ADVICE = "mend the data, leave such rows out by the 'where' of their source"


def check_references(raw: Mapping[str, Any], task: str, examples: Sequence[Example], places: Mapping[str, str]) -> None:
    """Check the test examples of a task against its scorers.

    Args:
        raw: the configuration as YAML gave it.
        places: where examples come from, by their ids.

    Raises:
        UserError: with a sentence for each scorer with which no answer to some of the examples could be right.
    """
    settings = Task.model_validate(entry_of(raw, "tasks", task))
    scorers = {name: scorer_of(raw, name) for name in settings.scorers}
    if problems := list(problems_of_references(scorers, settings.subset, examples, places)):
        raise UserError("\n".join(problems))


def problems_of_references(
    scorers: Mapping[str, ScorerSettings], size: int | None, examples: Sequence[Example], places: Mapping[str, str]
) -> Iterator[str]:
    """One sentence for each scorer with which no answer to some test examples could be right.

    Args:
        scorers: of the task, by name.
        size: of the subset that is evaluated.
        examples: the test set.
        places: where examples come from, by their ids.
    """
    for name, scorer in scorers.items():
        if (check := scorer.reference_check()) is None:
            continue
        wrong = {example.id: said for example in examples if (said := _wrong(check, example))}
        evaluated = {example.id for example in subset(examples, size)} if wrong and size is not None else wrong.keys()
        wrong = {id_: said for id_, said in wrong.items() if id_ in evaluated}
        total = len(examples) if size is None else min(size, len(examples))
        if wrong and (scorer.needs_all_references or len(wrong) == total):
            first, said = next(iter(wrong.items()))
            yield sentence(name, scorer, f"{places.get(first, 'example')} (id {first})", said, len(wrong), total)
        elif wrong:
            log.info("scorers.%s: %d of %d test examples: %s", name, len(wrong), total, next(iter(wrong.values())))


def sentence(name: str, scorer: ScorerSettings, where: str, said: str, wrong: int, total: int) -> str:
    """What is wrong with the references of examples that are asked, for a scorer.

    Args:
        where: the first of these examples.
        said: what is wrong with that.
        wrong: how many there are.
        total: the number of examples that are scored.
    """
    count = f"{wrong} of {total} examples asked {'is' if wrong == 1 else 'are'} like this"
    return f"scorers.{name}: {where}: {said} {count}: {ADVICE}, or {scorer.reference_advice}."


def wrong_in(check: Callable[[Sequence[str]], str | None], references: Iterable[Sequence[str]]) -> str | None:
    """The first thing that is wrong with references; None if nothing is."""
    return next((said for of_part in references if (said := check(of_part))), None)


def _wrong(check: Callable[[Sequence[str]], str | None], example: Example) -> str | None:
    return wrong_in(check, ([without_thoughts(text) for text in part.references] for part in example.parts))
