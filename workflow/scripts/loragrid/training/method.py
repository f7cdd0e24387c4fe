"""What every training method has: its keys in the configuration, and how it makes a model trainable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, ModelWrapValidatorHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from loragrid.errors import UserError
from loragrid.models.sources import Quantization
from loragrid.sections import LATER, MANY, ONLY_SPEED, Section
from loragrid.training.sweeps import Sweep, setting_name
from loragrid.training.swept_keys import allow_lists, valid_settings

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from transformers import PreTrainedModel


class Training(Section):
    """The keys of every training configuration, whatever its method."""

    makes_whole_model: ClassVar[bool] = False
    """Whether the result is a whole model instead of an adapter."""

    epochs: float = Field(1, gt=0, le=1_000_000, description="Passes over the mix; a part of one is rounded up to whole steps.")
    max_steps: int | None = Field(None, ge=1, le=MANY, description="Instead of `epochs`: exactly this many optimiser steps.")
    batch_size: int = Field(8, ge=1, le=MANY, description="Examples per optimiser step.")
    batch_tokens: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="Instead of `batch_size`: each optimiser step takes as many examples as fit into this many tokens.",
    )
    micro_batch_tokens: int | None = Field(
        None,
        ge=1,
        description="Maximum number of tokens, with padding, per forward pass: lower needs less memory. Gradients do not depend "
        "on it, since the loss is normalised over the whole optimiser step. Default: 1024 on a CPU, 8192 on a GPU.",
    )
    packing: Literal["auto", "on", "off"] = Field(
        "auto",
        description="`on`: the examples of a forward pass stand in one row without padding, and none attends to another; the "
        "common beginning of their prompts is computed once (on a CPU, without dropout and noise). `off`: examples of similar "
        "length are padded to the longest. `auto`: on, but not for Apple's GPUs. A model that mixes tokens by other means than "
        "plain attention is padded in any case, and so is training on a GPU where PyTorch's kernel for packed rows does not "
        "compute (it wants bfloat16, and compute capability 8.0); the log says why.",
    )
    kernels: Annotated[Literal["auto", "none"], ONLY_SPEED] = Field(
        "auto",
        description="`auto`: on an NVIDIA GPU where the package liger-kernel is installed (`make extras`), its kernels compute "
        "the loss, and the norms, the encoding of positions and the gated activations of the model types that it knows, if a "
        "trial shows that results change by no more than rounding; the log tells it. `none`: never.",
    )
    together: Annotated[Literal["auto", "on", "off"], ONLY_SPEED] = Field(
        "auto",
        description="Whether optimiser steps are shared with those of other runs that one process trains on the same base model: "
        "the examples of all stand in the same packed rows, each goes through its own adapter, and each run has the gradients "
        "that it has alone, up to rounding. `auto`: on an NVIDIA GPU, if the run's steps are too small to keep it busy. `on`: "
        "also where they are not, and on a CPU, where `auto` gives the same bytes as a training alone. `off`: never. It needs "
        "LoRA (with or without `rslora`), `packing`, and neither `dora`, `dropout`, `neftune_alpha`, `quantization`, "
        "`gradient_checkpointing` nor an initialisation from the base model's weights; the log says why a run is trained by "
        "itself.",
    )
    learning_rate: float = Field(2e-4, gt=0, le=1e30, description="Highest learning rate.")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="Decay of the learning rate to 0 after warm-up."
    )
    warmup_ratio: float = Field(0.0, ge=0, le=1, description="Share of the steps in which the learning rate rises linearly.")
    weight_decay: float = Field(0.0, ge=0, le=1000, description="AdamW weight decay.")
    max_grad_norm: float | None = Field(1.0, gt=0, description="Gradient norm is clipped to this; null: no clipping.")
    neftune_alpha: float | None = Field(
        None,
        gt=0,
        description="Noise on the input embeddings in training (NEFTune, Jain et al. 2023, arXiv:2310.05914); null: none.",
    )
    gradient_checkpointing: bool = Field(
        False,
        description="Compute activations again in the backward pass instead of keeping them: less memory, about a third more "
        "time.",
    )
    max_length: int = Field(
        1024,
        ge=8,
        le=MANY,
        description="Maximum length of prompt and answer together, in tokens. In a longer example the end of the input is cut, "
        "never the answer. An example that still does not fit is dropped and counted.",
    )
    loss_turns: Annotated[Literal["last", "all"], LATER] = Field(
        "last",
        description="In conversations (`messages` of a task) and with the loss computation `completion`: the loss counts the "
        "`last` answer alone, or `all` answers of the assistant, each with its end of turn. Where a chat template marks what the "
        "assistant says (`{% generation %}`), that is what counts; else it has to write earlier answers as the model gives them.",
    )
    evaluations: int = Field(
        4, ge=0, le=MANY, description="How often the validation loss is computed, spread evenly; the last time is at the end."
    )
    validate_every: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="Instead of `evaluations`: the validation loss is computed every so many steps, and at the end.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="Early stopping: end after this many validations in a row without a lower validation loss.",
    )
    keep: Literal["last", "best"] = Field(
        "last", description="Keep the weights of the `last` step, or (`best`) the weights with the lowest validation loss."
    )
    sweep: Sweep | None = Field(
        None,
        # Each setting is a config of its own for the job of a training.
        exclude=True,
        description="Several values of hyper-parameters, each setting trained as a config of its own. A key whose value is never "
        "a list may also hold a list of values itself.",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _each_setting_is_valid(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """A config with ranges: its first setting, and the ranges."""
        return valid_settings(cls, given, validate) if isinstance(given, Mapping) else validate(given)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        allow_lists(cls, handler.resolve_ref_schema(schema)["properties"])
        return schema

    def trainings(self, name: str) -> dict[str, Self]:
        """The trainings that a config stands for, by their names: one for each setting, or the config itself.

        Args:
            name: of the config.
        """
        if self.sweep is None:
            return {name: self}
        given = self.model_dump(exclude_unset=True)
        found = {}
        for values in self.sweep.settings():
            training = type(self).model_validate(given | {key: value for key, value, _ in values})
            found[setting_name(name, {key: getattr(training, key) for key, *_ in values})] = training
        return found

    @model_validator(mode="after")
    def _validation_is_there_if_needed(self) -> Self:
        if (self.keep == "best" or self.patience is not None) and not (self.evaluations or self.validate_every):
            raise ValueError("keep: best and patience need validations: set evaluations or validate_every")
        return self

    def nb_steps(self, steps_per_epoch: int) -> int:
        """How many optimiser steps the training has: a fraction of an epoch is rounded up to whole steps.

        A product that is a whole number but for the rounding of the machine is that number: 0.07 x 100 steps are 7.
        """
        if self.max_steps is not None:
            return self.max_steps
        steps = self.epochs * steps_per_epoch
        return max(1, round(steps) if math.isclose(steps, round(steps), rel_tol=1e-9) else math.ceil(steps))

    def make_trainable(self, base: PreTrainedModel, seed: int) -> torch.nn.Module:
        """The model to train: `base` with its adapter, if any. `base` itself is changed.

        Trained weights are float32, whatever the type of the other weights, so that small updates are not rounded away.

        Args:
            seed: the seed of the random initialisation.

        Raises:
            UserError: naming the key that does not fit the model or peft.
        """
        raise NotImplementedError

    @property
    def base_quantization(self) -> Quantization:
        """How the base model's weights are quantized, if the method says so."""
        return "none"

    def on_base(self, quantization: Quantization) -> Self:
        """The same training, of a base model with weights quantized in this way. What the method itself says takes precedence."""
        return self

    @property
    def merges(self) -> bool:
        """Whether the result is a change of weights, which can be made one with the base model."""
        return True

    @property
    def start_files(self) -> list[str]:
        """The files of the adapter that is trained further; none for a training that starts from nothing."""
        return []

    @property
    def module_pattern(self) -> str | None:
        """The regular expression that chooses adapted modules, if there is one."""
        return None

    @property
    def moves_base_weights(self) -> bool:
        """Whether the initialisation moves a part of the base model's weights into the adapter."""
        return False

    @property
    def leaves_base_alone(self) -> bool:
        """Whether nothing that belongs to the base model is changed, so that others may share its weights in memory."""
        return False

    @property
    def adapts_all_linear(self) -> bool:
        """Whether the configuration asks for an adapter of every linear layer."""
        return False

    @property
    def needs_hf(self) -> bool:
        """Whether only the engine `hf` can use the result. Other engines can use whole models and plain LoRA adapters."""
        return False


class AdapterTraining(Training):
    """The keys of every method that trains an adapter."""

    blamed: ClassVar[str] = "method"
    """The key to blame if peft cannot make the adapter."""

    quantization: Quantization = Field(
        "none",
        description="Number type of the frozen base model, in training and in prediction, where the package bitsandbytes and the "
        "device allow it: `4bit` (NF4, QLoRA, Dettmers et al. 2023, arXiv:2305.14314) or `8bit`.",
    )

    def make_trainable(self, base: PreTrainedModel, seed: int) -> torch.nn.Module:
        import torch

        torch.manual_seed(seed)
        try:
            model = self._adapt(base)
        except (ValueError, TypeError, KeyError, RuntimeError, AttributeError, NotImplementedError) as error:
            raise UserError(f"{self.blamed}: {error}") from None
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        return model

    def _adapt(self, base: PreTrainedModel) -> torch.nn.Module:
        """The base model with its adapter."""
        from peft import get_peft_model

        from loragrid.models.adapters import target_experts

        config = self.peft_config(base.config.name_or_path)
        target_experts(config, base)
        adapted: torch.nn.Module = get_peft_model(base, config)
        return adapted

    def peft_config(self, base_folder: str) -> PeftConfig:
        """The configuration of a new adapter, in peft's form.

        Args:
            base_folder: folder of the base model, with its tokenizer.
        """
        raise NotImplementedError

    @property
    def base_quantization(self) -> Quantization:
        return self.quantization

    def on_base(self, quantization: Quantization) -> Self:
        return self if self.quantization != "none" else self.model_copy(update={"quantization": quantization})

    @property
    def needs_hf(self) -> bool:
        return True
