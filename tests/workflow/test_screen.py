"""What the screen shows: of a run in which jobs of every stage fail, of a dry run, of commands that cannot be followed."""

import re
import shutil

import yaml

SCORERS = '''
def loud(predictions, references, prompts):
    """Of the wrong kind."""
    raise KeyError("volume")


def few(predictions, references, prompts):
    """Too few."""
    return [1.0]
'''


def break_everything(project):
    """Add to the tiny experiment, which stays as it is, one fault for each stage that can have one."""
    data = project.folder / "data"
    good = (data / "validation.jsonl").read_text()
    (data / "torn.jsonl").write_text(good + '{"word": "x\n')
    (data / "other.jsonl").write_text(good + '{"wort": "x"}\n')
    (data / "noise.jsonl").write_bytes(bytes(range(256)))
    (data / "answers.jsonl").write_text('{"word": "apple river", "answer": "A"}\n')
    (data / "scorers.py").write_text(SCORERS)
    (data / "lame.jinja").write_text("{{ messages[0].content.upper(1) }}")

    def change(config):
        tiny, task, block = config["models"]["tiny"], config["tasks"]["echo"], config["grid"][0]
        for name in ("damaged", "garbled"):
            folder = data / name
            shutil.copytree(tiny["source"]["path"], folder)
            config["models"][name] = tiny | {"source": {"path": str(folder)}}
        weights = data / "damaged/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        (data / "garbled/config.json").write_text("{")
        config["models"]["lame"] = tiny | {"chat_template": "data/lame.jinja"}
        files = config["sources"]["words"]["splits"]
        for name in ("torn", "other", "noise"):
            config["sources"][name] = {"splits": files | {"validation": {"path": f"data/{name}.jsonl"}}}
            config["tasks"][name] = task | {"source": name}
        config["configs"]["hot"] = {"learning_rate": 1e30, "max_grad_norm": None, "epochs": 4}
        config["configs"]["short"] = {"max_length": 8, "epochs": 1}
        config["scorers"]["loud"] = {"type": "custom", "function": "data/scorers.py:loud"}
        config["scorers"]["few"] = {"type": "custom", "function": "data/scorers.py:few"}
        config["tasks"]["scored"] = task | {"scorers": ["exact_match", "loud", "few"], "instruction": "Once more."}
        answers = {"path": "data/answers.jsonl", "task": "shout", "sample_type": "gold"}
        config["external_predictions"] = {
            "theirs": {"match": "prompt", "prompt": "{{ word }}", "prediction": "{{ answer }}", "files": [answers]}
        }
        few = {"nb_samples": [4]}
        config["grid"] = [
            block | few | {"tasks": ["shout"]},
            block | few | {"tasks": ["shout"], "base_models": ["damaged", "garbled", "lame"]},
            block | few | {"tasks": ["shout"], "configs": ["hot", "short"]},
            {"base_models": ["tiny"], "tasks": ["scored"], "sample_types": ["gold"]},
        ]

        # Mixes need every test set of the grid: what cannot be prepared is in a grid of its own.
        torn = {"grid": [block | few | {"tasks": ["torn", "other", "noise"]}]}
        (project.folder / "config/torn.yaml").write_text(yaml.safe_dump(torn))

    project.edit_config(change)


FAILED = {
    "Import model damaged": "/data/damaged/model.safetensors: ",
    "Import model garbled": "/data/garbled",
    "Prepare data set torn/gold": "data/torn.jsonl, line 23: ",
    "Prepare data set other/gold": "data/other.jsonl, line 23: the template of 'input' fails: ",
    "Prepare data set noise/gold": "data/noise.jsonl",
    "Tokenise shout/gold for lame": "models.lame.chat_template: ",
    "Predict shout/gold with lame, base": "models.lame.chat_template: ",
    "Import predictions theirs on shout/gold": "data/answers.jsonl: ",
    "Score scored/gold, tiny, base with loud": "",
    "Score scored/gold, tiny, base with few": "scorer function 'data/scorers.py:few' ",
    "Train shout__gold__target_only__n4__hot__completion__seed1": "try a lower learning_rate",
    "Train shout__gold__target_only__n4__short__completion__seed1": "max_length",
}
"""What failed jobs do, and words of their sentences."""


def test_each_failed_job_says_one_sentence_once_and_the_others_finish(new_project):
    break_everything(new_project)
    runs = [
        new_project.snakemake(*given, check=False) for given in (["datasets", "--configfile", "config/torn.yaml"], ["scores"])
    ]
    assert [result.returncode for result in runs] == [1, 1]
    shown = "".join(result.stdout + result.stderr for result in runs)
    assert "Traceback" not in shown
    assert "Exception" not in shown
    failures = re.findall(r"^Failed: (.*)\n((?:  .*\n)+)", shown, re.M)
    said = {job.removesuffix(" on tiny"): sentence for job, sentence in failures}
    assert len(failures) == len(said)
    assert said.keys() == FAILED.keys()
    for job, sentence in said.items():
        assert FAILED[job] in sentence
        *lines, log = sentence.splitlines()
        # The whole sentence, and no word of a library behind it.
        assert (
            (new_project.folder / log.strip(" ()").removeprefix("log: "))
            .read_text()
            .endswith("error: " + "\n".join(line.removeprefix("  ") for line in lines) + "\n")
        )
    assert re.search(
        r"^3 of \d jobs failed, 1 was not tried\. .* partial_report --cores 2 --configfile config/torn.yaml$", shown, re.M
    )
    assert re.search(rf"^{len(FAILED) - 3} of \d+ jobs failed, \d+ were not tried\. .* partial_report --cores 2$", shown, re.M)
    run = "shout__gold__target_only__n4__lora__completion__seed1"
    done = {str(file.relative_to(new_project.folder / "results/scores")) for file in new_project.files("scores/**/*.jsonl")}
    tested = {
        f"shout/gold/tiny/{run_or_base}/{scorer}.jsonl" for run_or_base in ("base", run) for scorer in ("rouge", "exact_match")
    }
    assert done == tested | {"scored/gold/tiny/base/exact_match.jsonl"}
    # All that Snakemake has to say is in its own log.
    logs = "".join(log.read_text() for log in (new_project.folder / ".snakemake/log").iterdir())
    assert len(re.findall("^Error in rule ", logs, re.M)) == len(FAILED)


def test_command_that_cannot_be_followed_is_told_in_one_sentence(new_project):
    (new_project.folder / "config/more.yaml").write_text("report: {title: Mine}\n")
    more = ("--configfile", "config/more.yaml")

    def last_line(*arguments):
        result = new_project.snakemake(*arguments, check=False)
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        return result.stderr.splitlines()[-1]

    assert last_line(*more, "plan") == (
        "--configfile plan: there is no such file. If a target is meant, put it before the options: "
        "snakemake plan --cores 2 --configfile config/more.yaml"
    )
    assert last_line("pushed", *more) == "hub: this section is missing in the configuration; it says where models are uploaded."
    assert last_line("plam", *more) == "'plam': there is no such target; did you mean 'plan'?"
    # What a killed Snakemake leaves.
    locks = new_project.folder / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text("results/models/tiny/config.json\n")
    said = last_line("datasets", "results/models/tiny/config.json", *more)
    assert said.startswith("This folder is locked, but no Snakemake runs in it on this machine: the last one was killed. ")
    assert said.endswith("snakemake --unlock --cores 2 --configfile config/more.yaml")
    new_project.snakemake("--unlock", *more)
    new_project.snakemake("datasets", *more)
    # A dry run is a screenful. Its file has what it leaves out.
    shown = new_project.snakemake("-n", *more).stdout
    assert len(shown.splitlines()) < 40
    assert re.search(r"^  output missing: .*train 4", shown, re.M)
    details = (new_project.folder / ".snakemake/log/dry-run.log").read_text()
    assert len(re.findall("^Reason: Missing output files: results/adapters/", details, re.M)) == 8  # adapters and their cards
