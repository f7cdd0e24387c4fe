"""Answers that a prediction job kept before it died: used again if nothing has changed that they depend on, and never else."""

import json
import os
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

RUN = "echo__gold__target_only__n4__lora__completion__seed1"
SCRIPT = Path(__file__).parents[2] / "workflow/scripts/predict.py"
NB_EXAMPLES = 4


class Named(dict):
    """Like Snakemake's inputs: by attribute, or by name."""

    __getattr__ = dict.__getitem__


@pytest.fixture(scope="module")
def answered(finished, tmp_path_factory):
    """A folder in which a prediction job has died after its last answer, and again without computing one."""
    folder = tmp_path_factory.mktemp("answered") / "project"
    for part in ("datasets/echo/gold", "models/tiny", f"adapters/echo/gold/tiny/{RUN}"):
        shutil.copytree(finished.folder / "results" / part, folder / "results" / part)
        # Its hashes would tell of each change.
        (folder / "results" / part / "manifest.json").unlink()
    with pytest.MonkeyPatch.context() as there:
        there.chdir(folder)
        there.syspath_prepend(str(SCRIPT.parent))
        assert newly_answered(make_job(finished)) == NB_EXAMPLES
        assert newly_answered(make_job(finished)) == 0
    return folder


@pytest.fixture
def job(answered, finished, tmp_path, monkeypatch):
    """The job that died, in a copy of its folder."""
    shutil.copytree(answered, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return make_job(finished)


def make_job(finished):
    """A prediction job that dies after its last answer."""
    results = "results"
    made = json.loads((finished.folder / f"results/predictions/echo/gold/tiny/{RUN}.manifest.json").read_text())
    model = made["model"] | {"template": None}
    return SimpleNamespace(
        rule="predict",
        wildcards={"base_model": "tiny"},
        input=Named(
            test=f"{results}/datasets/echo/gold/test.jsonl",
            model=f"{results}/models/tiny/model.safetensors",
            tokenizer=f"{results}/models/tiny/tokenizer.json",
            model_config=f"{results}/models/tiny/config.json",
            adapter=f"{results}/adapters/echo/gold/tiny/{RUN}/adapter_model.safetensors",
            adapter_config=f"{results}/adapters/echo/gold/tiny/{RUN}/adapter_config.json",
        ),
        # To write the manifest below a file fails, when all answers are there.
        output=Named(
            predictions=f"{results}/predictions/a.jsonl", manifest=f"{results}/datasets/echo/gold/test.jsonl/manifest.json"
        ),
        params=Named(
            version=1,
            axes=made["axes"],
            model=model,
            quantization="none",
            prompting={"type": "zero_shot"},
            instruction=None,
            decoding=made["decoding"],
            subset=NB_EXAMPLES,
        ),
        # An answer a line, so that lines count answers.
        config={"models": {"tiny": {"engine": {"type": "hf", "batch_tokens": 1}}}},
        log=["job.log"],
        threads=1,
        resources={},
    )


def newly_answered(job):
    """Run the job until it dies; how many answers it had to compute."""
    kept = sum(len(path.read_text().splitlines()) for path in journals())
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT), init_globals={"snakemake": job})
    assert "FileExistsError" in Path(job.log[0]).read_text()
    return sum(len(path.read_text().splitlines()) for path in journals()) - kept


def journals():
    return list(Path("results/.state/predictions").glob("*.jsonl"))


def edit_bytes(path):
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def edit_tokenizer(job):
    with open(job.input["tokenizer"], "a") as file:
        file.write("\n")


def edit_json(path, **values):
    with open(path) as file:
        content = json.load(file)
    with open(path, "w") as file:
        json.dump(content | values, file)


CHANGES = {
    "adapter's settings": lambda job: edit_json(job.input["adapter_config"], lora_alpha=3),
    "base model's settings": lambda job: edit_json(job.input["model_config"], rms_norm_eps=1e-3),
    "end tokens": lambda job: edit_json("results/models/tiny/generation_config.json", eos_token_id=[2, 9]),
    "adapter's bytes": lambda job: edit_bytes(job.input["adapter"]),
    "base model's bytes": lambda job: edit_bytes(job.input["model"]),
    "tokenizer": edit_tokenizer,
    "no adapter": lambda job: job.input.pop("adapter"),
    "prompt": lambda job: job.params.update(instruction="Again: {{ instruction }}"),
    "system prompt": lambda job: job.params["model"].update(system_prompt="Be brief."),
    "length limit": lambda job: job.params["decoding"].update(max_new_tokens=5),
    "temperature": lambda job: job.params["decoding"].update(temperature=0.5),
    "stop words": lambda job: job.params["decoding"].update(stop=["x"]),
    "number type": lambda job: job.params["model"].update(dtype="bfloat16"),
    "engine setting": lambda job: job.config["models"]["tiny"]["engine"].update(batch_tokens=2),
    "stage version": lambda job: job.params.update(version=2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_nothing_kept_is_used_after_a_change_and_everything_without_one(job, change):
    change(job)
    assert newly_answered(job) == NB_EXAMPLES
    assert newly_answered(job) == 0


def test_example_that_changed_is_answered_anew_and_the_others_are_not(job):
    with open(job.input["test"]) as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        # The subset is chosen by question, so that the same examples stay in it only if there are no others.
        row["output"] = row["output"] + "!"
    from loragrid.data.splitting import subset
    from loragrid.records import Example

    chosen = [example.id for example in subset([Example(**row) for row in rows], NB_EXAMPLES)]
    rows = [row for row in rows if row["id"] in chosen]
    rows[0]["input"] += " again"
    with open(job.input["test"], "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    assert newly_answered(job) == 1
