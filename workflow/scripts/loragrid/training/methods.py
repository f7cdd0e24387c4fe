"""Training methods: an adapter of any of peft's methods on a frozen base model, or the whole model.

A method is a class. The class holds the method's keys in the configuration, how the method makes a model trainable, and all
other facts about the method. To add a method is to add a class.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, TypeAdapter, field_validator, model_validator

from loragrid.errors import UserError
from loragrid.models.sources import Quantization
from loragrid.sections import MANY, ONLY_SPEED, OneOf, Section

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


class LoraTraining(AdapterTraining):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685)."""

    blamed: ClassVar[str] = "target_modules"

    method: Literal["lora"] = Field("lora", description="Chooses this method.")
    rank: int = Field(8, ge=1, le=65_536, description="Rank of the adapter matrices.")
    alpha: float = Field(16, gt=0, le=1_000_000, description="The adapter's output is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the adapter.")
    target_modules: str | list[str] = Field(
        "all-linear",
        description="Adapted layers: `all-linear` (all but the output layer; also experts whose weights are one tensor, without "
        "dropout and dora), a list of module names, or a regular expression "
        "that matches whole module names.",
    )
    rslora: bool = Field(False, description="Scale by alpha / √rank instead (rsLoRA, Kalajdzievski 2023, arXiv:2312.03732).")
    dora: bool = Field(False, description="Learn magnitude and direction apart (DoRA, Liu et al. 2024, arXiv:2402.09353).")
    initialisation: Annotated[str, StringConstraints(pattern=r"^(default|gaussian|orthogonal|olora|pissa(_niter_\d+)?)$")] = (
        Field(
            "default",
            description="`default` or `gaussian` (the adapter starts without effect), `orthogonal`, or `olora` (Büyükakyüz 2024, "
            "arXiv:2406.01775), `pissa` or `pissa_niter_<iterations>` (Meng et al. 2024, arXiv:2404.02948), which start from "
            "the base model's own weights. The adapter of the last three is saved as a plain one of twice the rank, which any "
            "program can load.",
        )
    )

    @field_validator("target_modules")
    @classmethod
    def _pattern_is_one(cls, target_modules: str | list[str]) -> str | list[str]:
        if isinstance(target_modules, str):
            try:
                re.compile(target_modules)
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"not a valid regular expression ({error})") from None
        if not target_modules:
            raise ValueError("expected at least one module")
        return target_modules

    @model_validator(mode="after")
    def _initialisation_is_possible(self) -> Self:
        if self.moves_base_weights and (self.dora or self.quantization != "none"):
            raise ValueError(f"initialisation: {self.initialisation} cannot be combined with dora or quantization")
        return self

    def peft_config(self, base_folder: str) -> PeftConfig:
        from peft import LoraConfig

        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            # The default is no float, and peft writes the value as it is given.
            lora_alpha=float(self.alpha),
            lora_dropout=self.dropout,
            target_modules=self.target_modules,
            use_rslora=self.rslora,
            use_dora=self.dora,
            init_lora_weights=True if self.initialisation == "default" else self.initialisation,
        )

    @property
    def module_pattern(self) -> str | None:
        return self.target_modules if isinstance(self.target_modules, str) and not self.adapts_all_linear else None

    @property
    def moves_base_weights(self) -> bool:
        return self.initialisation.startswith(("pissa", "olora"))

    @property
    def adapts_all_linear(self) -> bool:
        return self.target_modules == "all-linear"

    @property
    def needs_hf(self) -> bool:
        return self.dora


class PromptTuning(AdapterTraining):
    """Learnt embeddings before the prompt (Lester et al. 2021, arXiv:2104.08691)."""

    method: Literal["prompt_tuning"] = Field(description="Chooses this method.")
    virtual_tokens: int = Field(16, ge=1, le=1_000_000, description="How many embeddings are learnt.")
    init_text: str | None = Field(
        None, description="The embeddings start as those of this text, repeated or cut; by default as those of random tokens."
    )

    @property
    def merges(self) -> bool:
        return False

    def peft_config(self, base_folder: str) -> PeftConfig:
        from peft import PromptTuningConfig

        return PromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.virtual_tokens,
            prompt_tuning_init="SAMPLE_VOCAB" if self.init_text is None else "TEXT",
            prompt_tuning_init_text=self.init_text,
            tokenizer_name_or_path=None if self.init_text is None else base_folder,
        )


BESIDE_WEIGHTS = frozenset(
    f"{name}Config"
    for name in ("AdaptionPrompt", "CPT", "Cartridge", "MultitaskPromptTuning", "PrefixTuning", "PromptEncoder", "PromptTuning")
)
"""Classes of the peft library whose adapters are no change of weights. A test compares them with the library."""


class PeftTraining(AdapterTraining):
    """Any other method of the peft library, by its configuration class."""

    blamed: ClassVar[str] = "settings"

    method: Literal["peft"] = Field(description="Chooses this method.")
    config_class: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+Config$")] = Field(
        description="Class of the peft library, for example `IA3Config`, `LoHaConfig` or `PrefixTuningConfig`."
    )
    settings: dict[str, Any] = Field(default={}, description="Its arguments.")

    @property
    def merges(self) -> bool:
        return self.config_class not in BESIDE_WEIGHTS

    def peft_config(self, base_folder: str) -> PeftConfig:
        import peft

        config_class: Any = getattr(peft, self.config_class, None)
        if not (isinstance(config_class, type) and issubclass(config_class, peft.PeftConfig)):
            raise UserError(f"config_class: peft has no '{self.config_class}'.")
        return config_class(task_type="CAUSAL_LM", **self.settings)

    @property
    def adapts_all_linear(self) -> bool:
        return bool(self.settings.get("target_modules") == "all-linear")


class ContinuedTraining(AdapterTraining):
    """An existing adapter is trained further. The adapter itself says what it adapts and how."""

    blamed: ClassVar[str] = "adapter"

    method: Literal["continue"] = Field(description="Chooses this method.")
    adapter: str = Field(description="Folder of the adapter, in peft's layout.")

    def _adapt(self, base: PreTrainedModel) -> torch.nn.Module:
        from loragrid.models.adapters import load_adapter

        adapted: torch.nn.Module = load_adapter(base, self.adapter, is_trainable=True)
        return adapted

    @property
    def merges(self) -> bool:
        """Whether the result is a change of weights, which can be made one with the base model."""
        return True

    @property
    def start_files(self) -> list[str]:
        return [f"{self.adapter}/{name}" for name in ("adapter_model.safetensors", "adapter_config.json")]

    @property
    def needs_hf(self) -> bool:
        # The adapter is not known before its files are there.
        return False


class FullTraining(Training):
    """All weights of the base model are trained; the result is a model folder instead of an adapter."""

    makes_whole_model: ClassVar[bool] = True

    method: Literal["full"] = Field(description="Chooses this method.")

    def make_trainable(self, base: PreTrainedModel, seed: int) -> torch.nn.Module:
        import torch

        torch.manual_seed(seed)
        whole: torch.nn.Module = base.float().requires_grad_(True)
        return whole


TrainingConfig = Annotated[Training, OneOf("method")]
"""A named set of training hyper-parameters, for one of the methods."""


def parse_training(values: Mapping[str, Any]) -> Training:
    """A training configuration from its validated values."""
    config: Training = TypeAdapter(TrainingConfig).validate_python(values)
    return config
