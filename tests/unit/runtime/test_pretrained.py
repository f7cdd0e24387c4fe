"""No code that a model brings is ever run, and nobody is asked whether it should be."""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import loragrid
from loragrid.data.preparation import token_counter
from loragrid.data.render import ModelSettings, load_renderer
from loragrid.errors import UserError
from loragrid.inference.engines.vllm import VllmEngine
from loragrid.inference.prompts import context_length
from loragrid.models.importing import import_base_model, import_encoder, import_reward_model
from loragrid.models.loading import load_base_model, load_sentence_encoder
from loragrid.runtime.job import logged
from loragrid.runtime.pretrained import load_config, load_tokenizer
from loragrid.scoring.scorers.bertscore import bertscore
from loragrid.scoring.scorers.perplexity import perplexity
from loragrid.scoring.scorers.reward import load_reward_model

LIBRARY = Path(loragrid.__file__).parent
ONE_PLACE = "runtime/pretrained.py"
LOADS = {
    "from_pretrained": {ONE_PLACE},
    "SentenceTransformer": {ONE_PLACE},
    "CrossEncoder": set(),
    "pipeline": set(),
    "get_class_from_dynamic_module": set(),
    "snapshot_download": {"models/importing.py"},
    "hf_hub_download": set(),
    "get_kernel": set(),
    # The library has no data sets that are programs any more.
    "load_dataset": {"data/rows.py"},
}
"""What loads something that may bring code, and the files that may call it."""


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_all_loads_go_through_one_place_and_trust_no_code():
    found = {name: set() for name in LOADS}
    for path in LIBRARY.rglob("*.py"):
        for node, name in calls(ast.parse(path.read_text(encoding="utf-8"))):
            if name in found:
                found[name].add(path.relative_to(LIBRARY).as_posix())
            trusted = [keyword.value for keyword in node.keywords if keyword.arg == "trust_remote_code"]
            assert all(isinstance(value, ast.Constant) and value.value is False for value in trusted), path
    assert found == LOADS


def test_nothing_is_read_that_can_carry_code():
    for path in LIBRARY.rglob("*.py"):
        for node, name in calls(ast.parse(path.read_text(encoding="utf-8"))):
            of = node.func.value if isinstance(node.func, ast.Attribute) else None
            owner = "" if of is None else getattr(of, "id", "another")
            assert (owner, name) not in {
                ("torch", "load"),
                ("pickle", "load"),
                ("pickle", "loads"),
                ("yaml", "load"),
                ("joblib", "load"),
            }, path
            assert (owner, name) not in {("", "eval"), ("", "exec")}, path


@pytest.fixture
def trap(tiny_model, tmp_path, monkeypatch):
    """Make a copy of the tiny model with code that leaves a trace; the standard input says yes to everything."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 100))
    monkeypatch.chdir(tmp_path)

    def make(**changed):
        folder = tmp_path / "models" / "trap"
        folder.mkdir(parents=True)
        for file in tiny_model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        code = "import pathlib\npathlib.Path('TRACE').write_text('run')\nfrom transformers import LlamaConfig as C, LlamaForCausalLM as M, AutoTokenizer as T\n"
        (folder / "mine.py").write_text(code)
        for name, values in changed.items():
            path = folder / f"{name}.json"
            before = json.loads(path.read_text()) if path.is_file() else {}
            path.write_text(json.dumps(before | values if isinstance(values, dict) else values))
        return folder

    yield make
    assert not (tmp_path / "TRACE").exists()


NEEDS = "needs program code of its own ({} names {} in its auto_map), which is never run here"
MODEL = {
    "config": {
        "model_type": "mine",
        "auto_map": {
            "AutoConfig": "mine.C",
            "AutoModelForCausalLM": "mine.M",
            "AutoModel": "mine.M",
            "AutoModelForSequenceClassification": "mine.M",
        },
    }
}
TOKENIZER = {"tokenizer_config": {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.T", None]}}}
KERNEL = {"config": {"attn_implementation": "somebody/kernel"}}


@pytest.mark.parametrize(
    "load",
    [
        load_config,
        lambda folder: context_length(folder, None),
        lambda folder: load_base_model(folder, "float32"),
        lambda folder: load_reward_model(folder, 0),
        lambda folder: import_base_model(folder, folder.parent / "imported"),
        lambda folder: import_reward_model(folder, folder.parent / "imported"),
    ],
)
def test_model_with_code_of_its_own_is_refused_though_the_input_says_yes(trap, load):
    with pytest.raises(UserError) as caught:
        load(trap(**MODEL))
    assert NEEDS.format("config.json", "mine.C") in str(caught.value)


@pytest.mark.parametrize(
    "load",
    [
        load_tokenizer,
        token_counter,
        lambda folder: load_renderer(folder, ModelSettings()),
        lambda folder: perplexity(folder, "float32"),
        lambda folder: bertscore(folder, None, None),
        lambda folder: import_base_model(folder, folder.parent / "imported"),
    ],
)
def test_tokenizer_with_code_of_its_own_is_refused_though_the_input_says_yes(trap, load):
    with pytest.raises(UserError) as caught:
        load(trap(**TOKENIZER))
    assert "the tokenizer " + NEEDS.format("tokenizer_config.json", "mine.T") in str(caught.value)


def test_kernel_of_a_hub_is_refused_wherever_settings_name_it(trap):
    with pytest.raises(
        UserError, match=r"config\.json: attn_implementation 'somebody/kernel' is program code of a hub, which is never run"
    ):
        load_base_model(trap(**KERNEL), "float32")


def test_model_of_a_known_type_is_loaded_without_the_code_that_it_brings(trap):
    assert load_base_model(trap(config={"auto_map": {"AutoModelForCausalLM": "mine.M"}}), "float32").config.model_type == "llama"


@pytest.mark.parametrize("load", [load_sentence_encoder, lambda folder: import_encoder(folder, folder.parent / "imported")])
def test_encoder_with_modules_of_its_own_is_refused(trap, load):
    folder = trap(modules=[{"idx": 0, "name": "0", "path": "", "type": "mine.M"}])
    with pytest.raises(
        UserError, match=r"modules\.json: the module 'mine\.M' is program code of the encoder's own, which is never run here"
    ):
        load(folder)


def test_no_setting_of_vllm_lets_code_of_a_model_run():
    engine = VllmEngine.model_validate({"type": "vllm", "settings": {"hf_overrides": {"text": {"trust_remote_code": True}}}})
    assert list(engine.problems("none")) == [
        "engine.settings.hf_overrides.text.trust_remote_code: program code that a model brings is never run here; leave it out."
    ]


def test_job_has_no_input_to_answer_with(tmp_path):
    def answers():
        asked = subprocess.run([sys.executable, "-c", "print(repr(input()))"], capture_output=True, text=True, check=False)
        return sys.stdin.read(), asked.stdout

    reading, writing = os.pipe()
    os.write(writing, b"y\n" * 100)
    before = os.dup(0)
    os.dup2(reading, 0)
    try:
        with logged(str(tmp_path / "log")):
            assert answers() == ("", "")
        # Outside a job it is there.
        assert os.read(0, 2) == b"y\n"
    finally:
        os.dup2(before, 0)
        for end in (before, reading, writing):
            os.close(end)
