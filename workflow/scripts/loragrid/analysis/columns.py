"""The names of the columns in tables."""

from __future__ import annotations

from typing import Literal

EVALUATED = ["base_model", "task", "sample_type"]
"""A base model and the data set that it, or a run of it, is evaluated on."""


RUN = [*EVALUATED, "run"]


ASKED = ["prompting", "prompt_variant", "decoding"]


MODEL = [*RUN, *ASKED]


AXES = [*MODEL, "trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", "seed"]


METRIC = ["scorer", "metric"]


GROUP = ["key", "group"]
"""A key of the examples' metadata and its value."""


SIGNS = ["better", "equal", "worse"]


SETUP = ["trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", *ASKED]
"""What a run is trained on, how, and how it is asked: all but its base model and seed."""


Varied = Literal[
    "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", "prompting", "prompt_variant", "decoding"
]
"""The columns of `SETUP` but the task: in what kinds of run differ that are trained for the same task."""


INTEGERS = {"nb_samples": "Int64", "seed": "Int64"}
