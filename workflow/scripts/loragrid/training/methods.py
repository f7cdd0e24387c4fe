"""What is trained: an adapter of any of peft's methods on a frozen base model, or the whole model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from loragrid.errors import UserError
from loragrid.training.settings import ContinuedTraining, FullTraining, LoraTraining, PeftTraining, PromptTuning, Training

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel


def make_trainable(base: PreTrainedModel, config: Training, seed: int) -> torch.nn.Module:
    """Wrap `base` with a freshly initialised adapter, or with the one to continue; or free all its weights.

    Trained weights are float32 whatever the type of the others, so that small updates are not rounded away.

    Raises:
        UserError: naming the key that does not fit the model or peft.
    """
    from peft import PeftModel, get_peft_model

    torch.manual_seed(seed)
    if isinstance(config, FullTraining):
        whole: torch.nn.Module = base.float().requires_grad_(True)
        return whole
    try:
        if isinstance(config, ContinuedTraining):
            model = PeftModel.from_pretrained(base, config.adapter, is_trainable=True)
        else:
            model = get_peft_model(base, peft_settings(config, base.config.name_or_path))
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, RuntimeError, AttributeError, NotImplementedError) as error:
        key = {"lora": "target_modules", "peft": "settings", "continue": "adapter"}.get(config.method, "method")  # type: ignore[attr-defined]
        raise UserError(f"{key}: {error}") from None
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    adapted: torch.nn.Module = model
    return adapted


def peft_settings(config: Training, tokenizer: str) -> PeftConfig:
    """The configuration of a new adapter, as peft wants it.

    Args:
        tokenizer: folder of the tokenizer that turns a prompt's initial text into tokens.
    """
    import peft

    match config:
        case LoraTraining():
            return peft.LoraConfig(
                task_type="CAUSAL_LM",
                r=config.rank,
                lora_alpha=config.alpha,
                lora_dropout=config.dropout,
                target_modules=config.target_modules,
                use_rslora=config.rslora,
                use_dora=config.dora,
                init_lora_weights=True if config.initialisation == "default" else config.initialisation,
            )
        case PromptTuning():
            return peft.PromptTuningConfig(
                task_type="CAUSAL_LM",
                num_virtual_tokens=config.virtual_tokens,
                prompt_tuning_init="SAMPLE_VOCAB" if config.init_text is None else "TEXT",
                prompt_tuning_init_text=config.init_text,
                tokenizer_name_or_path=None if config.init_text is None else tokenizer,
            )
        case PeftTraining():
            kind: Any = getattr(peft, config.config_class, None)
            if not (isinstance(kind, type) and issubclass(kind, peft.PeftConfig)):
                raise UserError(f"config_class: peft has no '{config.config_class}'.")
            return kind(task_type="CAUSAL_LM", **config.settings)
    raise AssertionError(config)


def changes_base_weights(config: Training) -> bool:
    """Whether the initialisation moves a part of the base model's weights into the adapter (PiSSA, OLoRA)."""
    return isinstance(config, LoraTraining) and config.initialisation.startswith(("pissa", "olora"))
