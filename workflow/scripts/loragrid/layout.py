"""What a result is called: names of runs and of evaluations."""

from __future__ import annotations

from typing import NamedTuple

EXTERNAL = "external"
"""Stands where a base model's name would stand, for external predictions that name none."""


BASELINE = "baseline"
"""Stands where a base model's name would stand, for trivial baselines."""


BASE = "base"
"""Stands for the untrained base model where a run's name would stand."""


class Run(NamedTuple):
    """One trained model. `task` and `sample_type` say what it is trained on."""

    base_model: str
    task: str
    sample_type: str
    mix: str
    nb_samples: int
    config: str
    loss_computation: str
    seed: int

    @property
    def name(self) -> str:
        """The run's name, unique within its base model."""
        return (
            f"{self.task}__{self.sample_type}__{self.mix}__n{self.nb_samples}"
            f"__{self.config}__{self.loss_computation}__seed{self.seed}"
        )


class Evaluation(NamedTuple):
    """One set of predictions: by a run, a base model or somebody else, on one data set, asked in one way."""

    base_model: str
    task: str
    sample_type: str
    run: str
    """Name of the run or of the external predictions, or `BASE`."""
    prompting: str = "zero_shot"
    prompt: str = "default"
    decoding: str = "greedy"

    @property
    def variant(self) -> str:
        """What stands behind the run's name where it is not asked the usual way: zero shot, in the default prompt, greedily."""
        asked = [self.prompting, self.prompt, *([] if self.decoding == USUAL[2] else [self.decoding])]
        return "" if tuple(asked) == USUAL[:2] else "".join(f"~{part}" for part in asked)


USUAL = ("zero_shot", "default", "greedy")
"""Prompting, prompt variant and decoding where nothing else is said."""


def parse_variant(name: str) -> tuple[str, str, str, str]:
    """Run, prompting, prompt variant and decoding from a run's name with its variant."""
    run, *asked = name.split("~")
    prompting, prompt, decoding = (*asked, *USUAL[len(asked) :])
    return run, prompting, prompt, decoding
