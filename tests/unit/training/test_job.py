"""Trainings as jobs: launched on several processes, failing, followed."""

import copy
import json
import os
import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from safetensors.torch import load_file
from transformers import AutoTokenizer, Qwen2MoeConfig, Qwen2MoeForCausalLM

from architectures import make_model
from loragrid.data.render import make_renderer
from loragrid.data.tokens import tokenise, write_tokens
from loragrid.errors import UserError
from loragrid.records import write_records
from loragrid.runtime.model_folders import OTHER_FILES
from loragrid.training.job import make_accelerator, run_training
from loragrid.training.memory import lack_of_memory_told
from loragrid.training.methods import FullTraining
from loragrid.training.trackers import checked_trackers
from trainings import TWO_PROCESSES, adapter_bytes, changed, course


def test_two_processes_learn_what_one_does_with_the_same_batches(make_job):
    one, two = make_job("one", dropout=0.0), make_job("two", dropout=0.0)
    run_training(one, None)
    run_training(two, TWO_PROCESSES)
    pd.testing.assert_frame_equal(course(one), course(two), rtol=1e-4)
    assert json.load(open(f"{two.folder}/manifest.json"))["processes"] == 2  # noqa: SIM115


def test_failure_in_a_launched_process_is_told_in_its_own_sentence(make_job, tmp_path):
    with pytest.raises(UserError, match=r"training loss is (nan|inf) at step"):
        run_training(make_job("hot", learning_rate=1e30, max_grad_norm=None), TWO_PROCESSES)
    assert not (tmp_path / "hot").exists()


@pytest.mark.parametrize(
    ("keys", "message"), [({"max_length": 8}, "no target token"), ({"learning_rate": 1e30, "max_grad_norm": None}, "loss is")]
)
def test_training_that_fails_leaves_no_adapter(make_job, tmp_path, keys, message):
    with pytest.raises(UserError, match=message):
        run_training(make_job("none", **keys), None)
    assert not (tmp_path / "none").exists()


def test_training_in_float16_is_refused(make_job):
    job = make_job("half")
    with pytest.raises(UserError, match=r"models\.tiny\.dtype: float16 is for prediction only"):
        run_training(changed(job, {"model": job.settings.model.model_copy(update={"dtype": "float16"})}), None)


@pytest.mark.parametrize("kernels", ["auto", "none"])
def test_fused_kernels_are_put_into_the_base_model_if_wanted(make_job, monkeypatch, kernels):
    def stop(model):
        raise UserError("far enough")

    given = []
    monkeypatch.setattr("loragrid.training.job.use_fused_kernels", lambda model, device: given.append(model.config.model_type))
    monkeypatch.setattr("loragrid.training.job.sees_ahead", stop)
    with pytest.raises(UserError, match="far enough"):
        run_training(make_job("kernels", kernels=kernels), None)
    assert len(given) == (1 if kernels == "auto" else 0)


def with_padding_token(folder, tokenizer):
    """Give a model's tokenizer a token that came later than the model."""
    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"pad_token": "[PAD]"})
    assert other.pad_token_id == len(tokenizer) == 49152
    other.save_pretrained(folder)


def test_padding_for_which_the_model_has_no_embedding_changes_nothing(make_job, tiny_model, tokenizer, tmp_path):
    usual = changed(make_job("usual", packing="off", dropout=0.0), model=str(tiny_model / "model.safetensors"))
    run_training(usual, None)
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    with_padding_token(folder, tokenizer)
    files = {"model": str(folder / "model.safetensors"), "tokenizer": str(folder / "tokenizer.json")}
    other = changed(make_job("other", packing="off", dropout=0.0), **files)
    run_training(other, None)
    assert load_file(f"{other.folder}/adapter_model.safetensors").keys()
    pd.testing.assert_frame_equal(course(usual), course(other), rtol=1e-6)


def test_token_without_an_embedding_in_the_data_is_named(make_job, tiny_model, tokenizer, make_example, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["<speak>"])
    other.save_pretrained(folder)
    renderer = make_renderer(other)
    examples = [make_example(str(i), output="<speak> yes") for i in range(4)]
    for name in ("train", "validation"):
        write_records(tmp_path / f"{name}.jsonl", examples)
    write_tokens(tmp_path / "tokens.parquet", tokenise(renderer, {"train": examples}))
    files = {"model": str(folder / "model.safetensors"), "tokenizer": str(folder / "tokenizer.json")}
    with pytest.raises(UserError, match=r"token '<speak>' has the id 49152, but the model has embeddings of 49152 tokens only"):
        run_training(changed(make_job("speak"), **files), None)


def test_manifest_names_experts_that_all_linear_does_not_reach(make_job, tokenizer, tmp_path):
    small = {"hidden_size": 16, "intermediate_size": 16, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8}
    heads = {
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "num_experts": 2,
        "num_experts_per_tok": 1,
    }
    model = Qwen2MoeForCausalLM(Qwen2MoeConfig(vocab_size=len(tokenizer), **small, **heads))
    model.save_pretrained(tmp_path / "experts")
    tokenizer.save_pretrained(tmp_path / "experts")
    files = {"model": str(tmp_path / "experts/model.safetensors"), "tokenizer": str(tmp_path / "experts/tokenizer.json")}
    named = {}
    for dropout in (0.0, 0.1):
        job = changed(make_job(f"dropout {dropout}", dropout=dropout, max_steps=1), **files)
        run_training(job, None)
        named[dropout] = json.loads(Path(job.folder, "manifest.json").read_text()).get("not_adapted")
    assert named == {0.0: None, 0.1: ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]}


def test_tracker_without_its_package_is_named():
    with pytest.raises(UserError, match="trackers: 'no_such_tracker' needs the package"):
        checked_trackers(["no_such_tracker"])


def test_tensorboard_shows_the_course_of_the_loss(make_job, tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.chdir(tmp_path)
    job = changed(make_job("followed"), trackers=["tensorboard"])
    run_training(job, None)
    [events] = tmp_path.glob(f"results/trackers/tiny/{job.settings.run.name}/loragrid/events*")
    shown = accumulator.EventAccumulator(str(events))
    shown.Reload()
    losses = [(event.step, event.value) for event in shown.Scalars("train_loss")]
    of_course = course(job).dropna(subset=["train_loss"])
    assert [step for step, _ in losses] == of_course["step"].tolist()
    assert [value for _, value in losses] == pytest.approx(of_course["train_loss"].tolist(), rel=1e-6)


def test_full_training_archives_what_its_model_needs_besides_for_a_storage(make_job):
    config = FullTraining(method="full", batch_size=4, epochs=1, learning_rate=0.01)
    job = make_job("whole")
    run_training(changed(job, {"config": config}, other_files=f"{job.folder}/{OTHER_FILES}"), None)
    with tarfile.open(f"{job.folder}/{OTHER_FILES}") as archive:
        names = set(archive.getnames())
    assert {"tokenizer.json", "tokenizer_config.json", "generation_config.json"} <= names
    assert names.isdisjoint({"model.safetensors", "config.json", "loss.csv", "manifest.json", OTHER_FILES})


def test_adapter_names_its_base_model_by_its_result_wherever_that_was_loaded_from(make_job):
    job = make_job("adapter", epochs=1)
    run_training(job, None)
    assert json.loads(Path(job.folder, "adapter_config.json").read_text())["base_model_name_or_path"] == "results/models/tiny"
    assert json.loads(Path(job.folder, "manifest.json").read_text())["tokenizer"] == "results/models/tiny"


WISHES = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4", "ACCELERATE_MIXED_PRECISION": "bf16", "FSDP_OFFLOAD_PARAMS": "true"}
# A launcher's, of which this process would be one of several.
WISHES |= {"WORLD_SIZE": "2", "RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}


def test_variables_of_the_environment_change_no_training(make_job, monkeypatch, caplog):
    plain, wished = make_job("plain", epochs=1), make_job("wished", epochs=1)
    run_training(plain, None)
    for name, value in WISHES.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level("INFO", logger="loragrid"):
        run_training(wished, None)
    assert f"these variables of the environment are ignored: {', '.join(sorted(WISHES))}" in caplog.messages
    assert adapter_bytes(wished) == adapter_bytes(plain)
    assert WISHES.items() <= os.environ.items()


def test_launcher_s_wish_to_accumulate_divides_no_gradient(make_job, monkeypatch):
    """The launcher hands `gradient_accumulation_steps` of its configuration file on in this variable."""
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    accelerator = make_accelerator(make_job("any"), "trackers")
    weight = torch.ones(1, requires_grad=True)
    accelerator.backward(weight.sum())
    assert weight.grad.item() == 1


def test_model_whose_tokens_see_ahead_is_not_trained(make_job, tmp_path):
    job = make_job("ahead")
    tokenizer = AutoTokenizer.from_pretrained(job.model_folder)
    model = make_model("bert", vocab_size=len(tokenizer), is_decoder=False, max_position_embeddings=512)
    model.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    files = {"model": str(tmp_path / "bert/model.safetensors"), "tokenizer": str(tmp_path / "bert/tokenizer.json")}
    with pytest.raises(
        UserError, match=r"bert/config\.json: the model's tokens see the tokens behind them, which it is to predict"
    ):
        run_training(changed(job, **files), None)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_zero3_with_offload_learns_what_one_process_does(make_job, zero3, method):
    whole = FullTraining(method="full", batch_size=4, epochs=3, learning_rate=0.01, evaluations=3)
    one, sharded = (
        job if method == "lora" else changed(job, {"config": whole})
        for job in (make_job("one", dropout=0.0), make_job("two", dropout=0.0))
    )
    run_training(one, None)
    run_training(sharded, zero3)
    pd.testing.assert_frame_equal(course(one), course(sharded), rtol=1e-4)
    assert json.loads(Path(sharded.folder, "manifest.json").read_text())["distribution"] == "DEEPSPEED"
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    expected, found = (load_file(Path(job.folder, name)) for job in (one, sharded))
    assert expected.keys() == found.keys()
    for key, weight in expected.items():
        torch.testing.assert_close(found[key], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("path", sorted(Path("profiles/accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_launch_settings_are_understood_by_accelerate(path):
    settings = load_config_from_file(str(path))
    assert settings.mixed_precision == "no"
    assert settings.num_processes == 2
    if path.stem == "zero3-offload":
        expected = {"zero_stage": 3, "offload_param_device": "cpu", "offload_optimizer_device": "cpu"}
        assert expected.items() <= settings.deepspeed_config.items()
    if path.stem == "fsdp":
        arguments = ["--config_file", str(path), "script.py"]
        args, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
        assert args.use_fsdp
        assert args.fsdp_version == 2


LACKS = [
    (
        {},
        "memory runs out on cpu: lower micro_batch_tokens (now 1024), and max_length (now 1024) if it is higher; or set "
        "gradient_checkpointing: true; or set quantization: 4bit.",
    ),
    (
        {"gradient_checkpointing": True, "micro_batch_tokens": 256},
        "memory runs out on cpu: lower micro_batch_tokens (now 256), and max_length (now 1024) if it is higher; or set "
        "quantization: 4bit.",
    ),
]


@pytest.mark.parametrize(("keys", "sentence"), LACKS)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory")])
def test_lack_of_memory_in_training_says_what_to_lower(make_job, monkeypatch, keys, sentence, error):
    def fail(*args):
        raise error

    monkeypatch.setattr("loragrid.training.losses.SummedLoss.forward", fail)
    with pytest.raises(UserError) as caught:
        run_training(make_job("large", **keys), None)
    assert str(caught.value) == sentence


def test_other_errors_in_training_are_not_taken_for_a_lack_of_memory(make_job, monkeypatch):
    def fail(*args):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr("loragrid.training.losses.SummedLoss.forward", fail)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        run_training(make_job("other"), None)


def test_lack_of_memory_names_only_keys_that_the_training_has():
    with (
        pytest.raises(UserError, match=r"or train an adapter \(method: lora\) instead of all weights.$") as caught,
        lack_of_memory_told(FullTraining(method="full"), 8192, torch.device("cpu")),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    assert "quantization" not in str(caught.value)
