"""Experiments that share results: names, lists of what can go, files of other experiments, and half-done or damaged results."""

import json
from pathlib import Path

import pytest
import yaml

from loragrid.analysis.page.other_tables import training_table
from loragrid.analysis.partial_report import write_partial_report
from loragrid.analysis.reading import read_losses
from loragrid.analysis.settings import PartialReportSettings
from loragrid.analysis.table_files import read_parquet_table
from loragrid.config.load import parse_config
from loragrid.errors import DamagedError, UserError
from loragrid.grid.jobs import settings
from loragrid.grid.jobs.wanted import tier_files
from loragrid.grid.runs import Grid
from loragrid.layout import PARTIAL_REPORT, PRUNABLE
from loragrid.planning.pruning.kept import kept_configurations
from loragrid.planning.pruning.listing import read_list
from loragrid.records import Example, Prediction, Score, write_records
from loragrid.runtime.files import write_json
from report_pages import payload_of, rows_of

LIST = PRUNABLE.outputs["table"]
NAME_RULE = "expected letters and digits, with single '.', '_' or '-' between them."
KEEP_RULE = "expected a list of files, or of lists of files that are laid over each other"


def experiment(**changes):
    """One task, answers from elsewhere, one scorer."""
    return {
        "sources": {"words": {"splits": {"test": {"path": "test.jsonl"}}}},
        "tasks": {
            "t": {
                "source": "words",
                "instruction": "Say it.",
                "input": "x",
                "sample_types": {"s": {"output": "y"}},
                "scorers": ["rouge"],
                "baselines": [],
            }
        },
        "scorers": {"rouge": {"type": "rouge"}},
        "external_predictions": {"theirs": {"files": [{"path": "theirs.jsonl", "task": "t", "sample_type": "s"}]}},
    } | changes


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config/experiments").mkdir(parents=True)
    Path("config/config.yaml").write_text(yaml.safe_dump(experiment()))


def sentences(call):
    with pytest.raises(UserError) as refused:
        call()
    return str(refused.value)


NAMES = [
    (
        "le\u0455ters",
        f"experiment: 'le\u0455ters' is not a valid name; {NAME_RULE[:-1]}; '\u0455' (cyrillic small letter dze) is none of a to z and 0 to 9.",
    ),
    ("my letters", f"experiment: 'my letters' is not a valid name; {NAME_RULE}"),
    ("a__b", f"experiment: 'a__b' is not a valid name; {NAME_RULE}"),
    ("../letters", f"experiment: '../letters' is not a valid name; {NAME_RULE}"),
    ("a/b", f"experiment: 'a/b' is not a valid name; {NAME_RULE}"),
    (".hidden", f"experiment: '.hidden' is not a valid name; {NAME_RULE}"),
    ("{experiment}", f"experiment: '{{experiment}}' is not a valid name; {NAME_RULE}"),
    ("", f"experiment: '' is not a valid name; {NAME_RULE}"),
    (
        "lettres-é",
        f"experiment: 'lettres-é' is not a valid name; {NAME_RULE[:-1]}; 'é' (latin small letter e with acute) is none of a to z and 0 to 9.",
    ),
    ("a\n", f"experiment: 'a\n' is not a valid name; {NAME_RULE}"),
    (True, "experiment: expected text, not true, as YAML reads yes and on; put it in quotes if it is text."),
    ("a" * 101, f"experiment: string should have at most 100 characters, not '{'a' * 101}'."),
]


@pytest.mark.parametrize(("name", "sentence"), NAMES, ids=repr)
def test_experiment_that_cannot_name_a_folder_is_refused(name, sentence):
    assert sentences(lambda: parse_config(experiment(experiment=name))) == sentence


@pytest.mark.parametrize("name", ["letters", "2024", 2024, "a.b-c_d"])
def test_experiment_may_be_named_as_anything_else(name):
    assert parse_config(experiment(experiment=name)).experiment == str(name)


KEEP = [
    ("config/experiments/a.yaml", f"prune.keep: {KEEP_RULE}, not 'config/experiments/a.yaml'."),
    (3, f"prune.keep: {KEEP_RULE}, not 3."),
    ([3], f"prune.keep: {KEEP_RULE}."),
    ([""], f"prune.keep: {KEEP_RULE}."),
    ([[]], f"prune.keep: {KEEP_RULE}."),
    ([[["a.yaml"]]], f"prune.keep: {KEEP_RULE}."),
    ({"a": "a.yaml"}, f"prune.keep: {KEEP_RULE}."),
]


@pytest.mark.parametrize(("keep", "sentence"), KEEP, ids=repr)
def test_what_to_keep_is_a_list_of_files(keep, sentence):
    assert sentences(lambda: parse_config(experiment(prune={"keep": keep}))) == sentence


UNKNOWN = (
    "\nWhat this configuration asks for is not known, so that nothing is listed or removed. "
    "Mend it, or name the configurations whose results stay in prune.keep."
)
BROKEN = [
    (
        "no YAML",
        "report: My: title",
        "a.yaml, line 1, column 11: not valid YAML (mapping values are not allowed in this context)",
    ),
    ("unknown key", "grd: []", "a.yaml: grd: unknown key; did you mean 'grid'?"),
    (
        "key twice",
        "report: {}\nreport: {}",
        "a.yaml, line 2, column 1: the key 'report' stands in line 1 already; expected each key once.",
    ),
    ("no mapping", "[1, 2]", "a.yaml: expected a mapping of keys to values, not [1, 2]."),
    ("text", "letters", "a.yaml: expected a mapping of keys to values, not 'letters'."),
    ("bad name", "experiment: a b", f"a.yaml: experiment: 'a b' is not a valid name; {NAME_RULE}"),
    ("unknown scorer", "tasks: {t: {scorers: [bleu]}}", "a.yaml: tasks.t.scorers: unknown scorer 'bleu'; known: rouge."),
    ("replaced by text", "tasks: all", "a.yaml: tasks: expected a mapping of keys to values, not 'all'."),
    ("bytes", b"report: {title: \xff}", "a.yaml, line 1, column 17: the text is not UTF-8"),
]


@pytest.mark.parametrize(("content", "sentence"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_nothing_is_listed_while_the_file_of_another_experiment_is_broken(content, sentence):
    """What it asks for would be listed for removal."""
    Path("config/experiments/a.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    Path("config/experiments/b.yaml").write_text("experiment: b")
    said = sentences(lambda: kept_configurations(parse_config(experiment()), ["config/config.yaml"]))
    first, *_, last = said.splitlines()
    assert first.startswith(f"config/experiments/{sentence}".rstrip(".")), said
    assert f"\n{last}" == UNKNOWN


def kept(files=("config/config.yaml",), **changes):
    return [one.name for one in kept_configurations(parse_config(experiment(**changes)), files)]


def test_configurations_that_count_are_those_in_the_folder_unless_some_are_named():
    for name in ("a.yaml", "deep/b.yml", "c.json", ".#d.yaml", "notes.txt"):
        path = Path("config/experiments", name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"experiment": path.stem} if path.suffix != ".txt" else {"broken": 1}))
    a, b, c = (f"config/experiments/{name}" for name in ("a.yaml", "deep/b.yml", "c.json"))
    assert kept() == ["config/config.yaml", a, c, b]
    # The configuration given may have more files, without which one of them is broken.
    assert kept(["config/config.yaml", "more.yaml", a], experiment="a") == [f"more.yaml + {a}", "config/config.yaml", c, b]
    assert kept(["config/config.yaml", str(Path(a).absolute())], experiment="a") == [a, "config/config.yaml", c, b]
    assert kept(prune={"keep": []}) == ["config/config.yaml"]
    # Arguments may change a configuration that counts without them too.
    assert kept(date="2025-01-31", prune={"keep": ["config/config.yaml"]}) == [
        "config/config.yaml + --config",
        "config/config.yaml",
    ]
    assert kept(prune={"keep": [[a, b], c, c, "config/config.yaml"]}) == ["config/config.yaml", f"{a} + {b}", c]


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [
        (["config/experiments/no.yaml"], "config/experiments/no.yaml: no such file or directory."),
        (["config/experiments"], "config/experiments: this is a folder; expected a YAML file."),
        ([["config/config.yaml", "no.yaml"]], "no.yaml: no such file or directory."),
    ],
)
def test_named_configuration_that_cannot_be_read_is_refused(keep, sentence):
    assert sentences(lambda: kept(prune={"keep": keep})) == sentence + UNKNOWN


def test_default_that_is_broken_alone_is_refused():
    """The configuration given may have mended what the default alone says."""
    Path("config/config.yaml").write_text(yaml.safe_dump(experiment(scorers={"other": {"type": "rouge"}})))
    said = sentences(lambda: kept(["config/config.yaml", "mine.yaml"]))
    assert said == "config/config.yaml: tasks.t.scorers: unknown scorer 'rouge'; known: other." + UNKNOWN


COLUMNS = f"{LIST}: expected the columns path, bytes and configuration, as prunable writes them."
LISTS = [
    ("none", None, f"{LIST}: there is no such list, so that nothing is removed."),
    (
        "for another",
        "path,bytes,configuration\na,1,other\n",
        f"{LIST}: this list was made for another configuration, so that nothing",
    ),
    ("for two", "path,bytes,configuration\na,1,own\nb,1,other\n", f"{LIST}: this list was made for another configuration"),
    ("semicolons", "path;bytes;configuration\na;1;own\n", COLUMNS),
    ("no number", "path,bytes,configuration\na,one,own\n", COLUMNS),
    ("cut", "path,bytes,configuration\na,1,own\nb\n", f"{LIST}: this list was made for another configuration"),
    ("no size", "path,configuration\na,own\n", COLUMNS),
]


@pytest.mark.parametrize(("text", "sentence"), [row[1:] for row in LISTS], ids=[row[0] for row in LISTS])
def test_list_that_is_not_for_these_configurations_removes_nothing(text, sentence):
    if text is not None:
        Path(LIST).parent.mkdir()
        Path(LIST).write_text(text)
    said = sentences(lambda: read_list("own"))
    assert said.startswith(sentence)
    assert "prunable" in said.partition("Run ")[2]


TEST, SCORES = "results/datasets/t/s/test.jsonl", "results/scores/t/s/external/theirs/rouge.jsonl"
DATA, LEAKS = "results/datasets/t/s/manifest.json", "results/datasets/t/s/leaks.json"
PREDICTIONS = "results/predictions/t/s/external/theirs.jsonl"


def example(number):
    told = {"instruction": "Say it.", "input": f"word {number}", "output": f"WORD {number}"}
    return Example(id=f"id{number}", task="t", sample_type="s", **told)


def prediction(number):
    told = {"task": "t", "sample_type": "s", "base_model": "external", "run": "theirs", "prompt": f"word {number}"}
    measured = dict.fromkeys(("queue_s", "compute_s", "runtime_s", "prompt_tokens", "new_tokens", "finish_reason", "batch_size"))
    answer = {"prediction": "WORD", "reference": f"WORD {number}", "engine": "external", "engine_version": "?"}
    return Prediction(id=f"id{number}", **told, **answer, **measured)


def scores_of(number):
    return [
        Score(id=f"id{number}", scorer="rouge", metric=name, value=0.5) for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")
    ]


def make(*kinds):
    """A part of the grid's results."""
    if "data" in kinds:
        for part, numbers in {"train": [], "validation": [], "test": [1, 2]}.items():
            write_records(f"results/datasets/t/s/{part}.jsonl", map(example, numbers))
        nothing = {part: {} for part in ("train", "validation", "test")}
        counts = {"train": 0, "validation": 0, "test": 2}
        write_json(DATA, {"task": "t", "sample_type": "s", "examples": counts, "dropped": nothing})
        write_json(LEAKS, {"train": {}, "validation": {}, "by_output": {}})
    if "predictions" in kinds:
        write_records(PREDICTIONS, map(prediction, [1, 2]))
        write_json(PREDICTIONS.replace(".jsonl", ".manifest.json"), {"axes": {}})
    if "scores" in kinds:
        write_records(SCORES, [score for number in (1, 2) for score in scores_of(number)])


@pytest.fixture(autouse=True)
def _quick_figures(monkeypatch):
    """To draw them takes most of the time."""

    drawn = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
    monkeypatch.setattr("loragrid.analysis.figures.files.as_svg", lambda spec: drawn)


def report(**changes):
    """The report on what is there, and how many scores it counts."""
    grid = Grid(parse_config(experiment(**changes)))
    told = PartialReportSettings(
        version=1,
        tiers=tier_files(grid),
        files=grid.own(PARTIAL_REPORT).outputs,
        settings=settings.analyse(grid),
        report=settings.report(grid),
    )
    write_partial_report(told)
    return Path(told.files["report"]).read_text(), len(Path(told.files["scores"]).read_text().splitlines()) - 1


def missing(html):
    """Why files are missing, by file, as the page says it."""
    payload = payload_of(html)
    rows = rows_of(payload, "grid") if "grid" in payload["tables"] else []
    return {row["file"]: row["reason"] for row in rows}


STATES = [
    (),
    ("data",),
    ("predictions",),
    ("data", "predictions"),
    ("scores",),
    ("data", "scores"),
    ("data", "predictions", "scores"),
]


@pytest.mark.parametrize("kinds", STATES, ids=["+".join(kinds) or "nothing" for kinds in STATES])
def test_report_on_an_unfinished_grid_is_written_whatever_is_there(kinds):
    make(*kinds)
    html, counted = report()
    assert ("This grid is not complete" in html) == (len(kinds) < 3)
    assert counted == (4 if {"predictions", "scores"} <= set(kinds) else 0)
    assert (missing(html).get(SCORES, "").startswith("not started")) == ("scores" not in kinds)


def test_report_on_an_unfinished_grid_says_why_a_job_failed():
    make("data")
    log = Path("results/logs/predictions/t/s/external/theirs.log")
    log.parent.mkdir(parents=True)
    log.write_text("reading\nerror: theirs.jsonl, line 3: 'prediction' is missing.\n")
    html = report()[0]
    # Both files of the job, with its sentence once.
    assert html.count("2 files: theirs.jsonl, line 3: &#39;prediction&#39; is missing.") == 1
    assert missing(html)[PREDICTIONS] == "theirs.jsonl, line 3: 'prediction' is missing."


def test_report_on_an_unfinished_experiment_with_a_name_stands_in_its_folder():
    make("data", "predictions", "scores")
    html, counted = report(experiment="letters")
    assert "<title>loragrid report: letters</title>" in html
    # Its list of leaks is its own.
    assert missing(html)["results/experiments/letters/datasets/t/s/leaks.json"].startswith("not started")
    assert counted == 4
    assert [path.as_posix() for path in Path("results/experiments").glob("*/*")] == ["results/experiments/letters/partial"]


DAMAGED = [
    (SCORES, "", 0),
    (SCORES, '{"id": "id1"', 0),
    (SCORES, "\0\0\0\0", 0),
    (PREDICTIONS, "", 0),
    (PREDICTIONS, '{"id": 3}\n', 0),
    (TEST, '{"id": ', 4),
    (DATA, "", 4),
    (DATA, '{"task": "t"}', 4),
    (LEAKS, "[1]", 4),
]


@pytest.mark.parametrize(("path", "content", "counted"), DAMAGED)
def test_report_on_an_unfinished_grid_leaves_damaged_files_out_and_names_them(path, content, counted):
    make("data", "predictions", "scores")
    Path(path).write_text(content)
    html, found = report()
    assert "This grid is not complete" in html
    assert missing(html)[path].startswith(path)
    assert missing(html)[path].endswith(f"Delete {path}; the next snakemake makes it again.")
    assert found == counted


def test_too_many_damaged_files_are_one_sentence(monkeypatch):
    make("data", "predictions", "scores")
    monkeypatch.setattr("loragrid.analysis.present_files.MOST_DAMAGED", 1)
    Path(SCORES).write_text("?"), Path(PREDICTIONS).write_text("?")
    with pytest.raises(DamagedError, match=r"^results/scores.*, line 1: not valid JSON"):
        report()


LOSS = "step,epoch,train_loss,validation_loss,learning_rate,tokens,seconds\n0,0.0,,2.5,0.0,0,0.0\n1,1.0,2.5,2.4,0.01,232,0.046\n"
TABLES = [
    ("loss.csv", "", "not a whole table (No columns to parse from file)"),
    ("loss.csv", "step,epoch\n1,1\n", "there is no train_loss"),
    ("loss.csv", "\0\0", "there is no step"),
    ("loss.csv", f"{LOSS}{LOSS}", "expected a number in the column step, found 'step'"),
    ("loss.csv", LOSS.replace("2.5", "2.5?"), "expected a number in the column train_loss, found '2.5?'"),
    ("tables/training_costs.csv", "", "not a whole table (No columns to parse from file)"),
    ("tables/training_costs.csv", "a,b\n1,2\n", "expected a table with the columns base_model"),
    ("tables/scores.parquet", "", "Parquet file size is 0 bytes)"),
    ("tables/scores.parquet", "PAR1 and more than that", "not a whole table ("),
]


@pytest.mark.parametrize(("name", "content", "what"), TABLES)
def test_table_that_was_damaged_later_is_named(name, content, what):
    path = Path("results", name if "/" in name else f"adapters/t/s/m/r/{name}")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    read = {
        "loss.csv": lambda: read_losses([path]),
        "training_costs.csv": lambda: training_table(path, {}),
        "scores.parquet": lambda: read_parquet_table(path),
    }[path.name]
    said = sentences(read)
    assert said.startswith((f"{path}: ", f"{path}, line "))
    assert what in said
    assert said.endswith(f"Delete {path}; the next snakemake makes it again.")
