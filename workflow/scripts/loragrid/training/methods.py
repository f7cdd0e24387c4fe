"""Training methods: an adapter of any of peft's methods on a frozen base model, or the whole model.

A method is a class. The class holds the method's keys in the configuration, how the method makes a model trainable, and all
other facts about the method. To add a method is to add a class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, TypeAdapter, field_validator, model_validator

from loragrid.errors import UserError
from loragrid.sections import OneOf
from loragrid.training.method import AdapterTraining, Training

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from transformers import PreTrainedModel


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
    def leaves_base_alone(self) -> bool:
        return not self.moves_base_weights

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

    @property
    def leaves_base_alone(self) -> bool:
        return True

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

BESIDE_BASE = frozenset(
    f"{name}Config" for name in ("IA3", "LNTuning", "LoHa", "LoKr", "PrefixTuning", "PromptEncoder", "PromptTuning")
)
"""Classes of the peft library whose adapters were seen to leave the base model as it is, whatever their arguments."""


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

    @property
    def leaves_base_alone(self) -> bool:
        return self.config_class in BESIDE_BASE

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


def entry_behind(raw: Mapping[str, Any], name: str) -> Any:
    """The entry of the configuration, as YAML gave it, that a training of this name belongs to: a config, or a setting of one."""
    entries = {str(key): entry for key, entry in raw["configs"].items()}
    if name in entries:
        return entries[name]
    # Most configs are told from others by their beginning.
    behind = (key for key in entries if name.startswith(f"{key}-") and name in parse_training(entries[key]).trainings(key))
    return entries[next(behind)]
