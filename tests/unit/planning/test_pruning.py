import fcntl
import json
import os
import re
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.layout import PARTIAL_REPORT, PLAN, PRUNABLE
from loragrid.planning.pruning.in_use import InUse, Made, configuration_of, find_in_use, named_results
from loragrid.planning.pruning.kept import configured
from loragrid.planning.pruning.listing import Row, read_list, summary, write_list
from loragrid.planning.pruning.removal import check_alone, remove
from loragrid.planning.pruning.snakemake_records import forget
from loragrid.planning.pruning.sorting import sort_out
from loragrid.planning.pruning.states import DAY_S
from loragrid.runtime.files import fingerprint
from loragrid.runtime.locks import held, only_job_for
from loragrid.runtime.states import describe_state
from loragrid.scoring.scorers.judge import judge_store

RUN = "reply__gold__only__n4__lora__full__seed1"
OLD = "reply__gold__only__n8__lora__full__seed1"
LIST, ARCHIVE_LIST = PRUNABLE.outputs["table"], Path(PRUNABLE.outputs["paths"])
ADAPTER = "results/adapters/{task}/{run}"
NAMES = r"[\w.-]+"


OWN = {"prunable": PRUNABLE, "plan": PLAN, "partial_report": PARTIAL_REPORT}


def named(files):
    return files.of_experiment("{experiment}")


def made(stage, files, folders=(), logs=(), jobs=None):
    def told(pattern):
        return pattern, re.sub(r"\{(\w+)\}", lambda wildcard: f"(?P<{wildcard[1]}>{NAMES})", pattern) + "$"

    return Made(stage, *([told(pattern) for pattern in patterns] for patterns in (files, folders, logs)), jobs)


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def rules():
    jobs = [{"task": "reply", "run": RUN}]
    return [
        made("train", [f"{ADAPTER}/weights", f"{ADAPTER}/manifest.json"], [ADAPTER], ["results/logs/{task}/{run}.log"], jobs),
        made("train", [], ["results/trackers/{run}"], ["results/logs/{task}/{run}.log"], jobs),
        made("report", ["results/report.html"], logs=["results/logs/report.log"]),
        *(made(name, files.outputs.values(), logs=[files.log], jobs=[{}]) for name, files in OWN.items()),
        *(made(name, named(files).outputs.values(), logs=[named(files).log], jobs=[]) for name, files in OWN.items()),
        made("plot", ["results/plots/{task}.svg"], logs=["results/logs/plots/of/{task}.log"]),
        made(
            "human_sheet",
            ["results/human_sheets/{evaluation}/{annotator}.csv"],
            logs=["results/logs/human_sheets/{evaluation}/{annotator}.log"],
            jobs=[{"evaluation": "e", "annotator": "anna"}],
        ),
    ]


def config(**changes):
    task = {
        "source": "s",
        "sample_types": {"gold": {"output": "x"}},
        "instruction": "i",
        "input": "x",
        "scorers": ["rouge", "judge"],
    }
    judge = {"type": "judge", "rubric": "mine", "model": "m"}
    Path("data/prompts/judges").mkdir(parents=True, exist_ok=True)
    Path("data/prompts/judges/mine.yaml").write_text("prompt: '{{ prediction }}'\nscores:\n  good: {minimum: 0, maximum: 1}\n")
    raw = {
        "models": {"m": {"source": {"path": "results/merged/m"}}},
        "sources": {"s": {"splits": {"test": {"path": "results/exports/mine.jsonl"}}}},
        "tasks": {"reply": task},
        "scorers": {"rouge": {"type": "rouge"}, "judge": judge},
        "mixes": {"only": {"recipe": "target_only"}},
        "configs": {"lora": {}, "on": {"method": "continue", "adapter": "results/adapters/reply/elsewhere"}},
        "grid": [
            {
                "base_models": ["m"],
                "tasks": ["reply"],
                "sample_types": ["gold"],
                "mixes": ["only"],
                "nb_samples": [4],
                "configs": ["lora"],
            }
        ],
    }
    return parse_config(raw | changes)


def write(path, text="x", days=0.0):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - days * DAY_S,) * 2)
    return path.as_posix()


def verdicts_on(rules, in_use=None):
    """Stage and reason of everything that can go or is unknown, by path."""
    rows = sort_out(rules, in_use or find_in_use([configured(config())], rules), time.time())
    return {row.path: (row.stage, row.why) for row in rows}


def test_what_the_grid_asks_for_stays_with_its_logs_and_what_libraries_put_beside_it(rules):
    for path in (
        f"results/adapters/reply/{RUN}/weights",
        f"results/adapters/reply/{RUN}/anything",
        f"results/trackers/{RUN}/a/events",
    ):
        write(path)
    for path in (
        f"results/logs/reply/{RUN}.log",
        "results/report.html",
        "results/partial/report.html",
        LIST,
        ARCHIVE_LIST.as_posix(),
    ):
        write(path)
    assert verdicts_on(rules) == {}


def test_what_the_grid_does_not_ask_for_is_listed_with_stage_and_reason(rules):
    weights, log = write(f"results/adapters/reply/{OLD}/weights"), write(f"results/logs/reply/{OLD}.log")
    config_file, events = write(f"results/adapters/reply/{OLD}/tokenizer.json"), write(f"results/trackers/{OLD}/deep/events")
    why = ("train", "nb_samples 8 is not in the grid")
    assert verdicts_on(rules) == dict.fromkeys((weights, log, config_file, events), why)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (RUN.replace("seed1", "seed2"), "seed 2 is not in the grid"),
        (RUN.replace("lora", "dora"), "config dora is not in the grid"),
        ("their-lora", "run their-lora is not in the grid"),
    ],
)
def test_reason_names_the_value_that_is_missing_in_the_grid(rules, run, reason):
    log = write(f"results/logs/reply/{run}.log")
    assert verdicts_on(rules) == {log: ("train", reason)}


def test_reason_tells_if_a_value_is_missing_for_one_stage_only():
    logs = "results/logs/{stage}/{sample_type}.log"
    stages = {"train": ["gold", "silver"], "predict": ["gold"]}
    rules = [
        made(stage, [], logs=[logs.replace("{stage}", stage)], jobs=[{"sample_type": name} for name in names])
        for stage, names in stages.items()
    ]
    predicted = write("results/logs/predict/silver.log")
    assert verdicts_on(rules) == {predicted: ("predict", "sample_type silver is in the grid for other stages only")}


def test_files_of_people_stay_whatever_they_are_called(rules):
    write(f"results/logs/reply/{OLD}.log")
    notes = write("results/notes.txt"), write(f"results/adapters/reply/{OLD}/notes.md")
    like_a_result = write("results/adapters/reply/mine/weights")
    unknown = {path: verdict for path, verdict in verdicts_on(rules).items() if verdict[0] == "unknown"}
    assert unknown == dict.fromkeys((*notes, like_a_result), ("unknown", "not made by the workflow: kept"))


def test_results_of_a_rule_of_which_nothing_is_said_stay(rules):
    kept = {write("results/plots/gone.svg"), write("results/logs/plots/of/gone.log")}
    assert verdicts_on(rules) == dict.fromkeys(kept, ("unknown", "not made by the workflow: kept"))


def test_links_stay_and_are_not_followed(rules, tmp_path):
    write(f"results/logs/reply/{OLD}.log")
    elsewhere = Path(write(tmp_path / "elsewhere" / OLD / "weights")).parent
    Path("results/adapters").mkdir()
    Path("results/adapters/reply").symlink_to(elsewhere.parent)
    Path(f"results/trackers/{OLD}").mkdir(parents=True)
    Path(f"results/trackers/{OLD}/events").symlink_to(elsewhere / "weights")
    rows = sort_out(rules, find_in_use([configured(config())], rules), time.time())
    links = {row.path for row in rows if row.stage == "unknown"}
    assert links == {"results/adapters/reply", f"results/trackers/{OLD}/events"}
    assert {row.path for row in rows} - links == {f"results/logs/reply/{OLD}.log"}


def test_results_that_the_configuration_names_stay(rules):
    for name in ("adapters/reply/elsewhere/weights", "merged/m/model.safetensors", "exports/mine.jsonl"):
        write(f"results/{name}")
    write("results/logs/reply/elsewhere.log")
    assert set(verdicts_on(rules)) == {"results/logs/reply/elsewhere.log"}


def test_results_that_any_setting_of_a_sweep_names_stay(rules):
    adapters = [f"results/adapters/reply/{name}" for name in ("first", "second")]
    weights = [write(f"{adapter}/weights") for adapter in adapters]
    assert set(verdicts_on(rules)) == set(weights)
    swept = {"lora": {}, "on": {"method": "continue", "adapter": adapters}}
    assert verdicts_on(rules, find_in_use([configured(config(configs=swept))], rules)) == {}


def test_results_that_the_configuration_names_through_a_link_stay(rules, tmp_path):
    write(f"results/logs/reply/{OLD}.log")
    weights = write(f"results/adapters/reply/{OLD}/weights")
    Path("results/link").symlink_to(f"adapters/reply/{OLD}")
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path)
    for named in (tmp_path.parent / f"{tmp_path.name}-link" / weights, "results/link/weights"):
        assert list(named_results(["no path\0", str(named)]))
        sources = {"s": {"splits": {"test": {"path": str(named)}}}}
        assert weights not in verdicts_on(rules, find_in_use([configured(config(sources=sources))], rules)), named


def test_names_that_are_no_text_are_listed_and_stay(rules):
    write(f"results/logs/reply/{OLD}.log")
    odd = os.fsdecode(b"results/trackers/" + OLD.encode() + b"/caf\xe9")
    write(odd)
    rows = sort_out(rules, find_in_use([configured(config())], rules), time.time())
    assert {row.path for row in rows if row.stage == "unknown"} == {odd}
    write_list(rows, "0")
    assert odd in {path for path, _ in read_list("0")}


def test_plan_stays(rules):
    write("results/plan.csv"), write("results/plan.txt")
    assert verdicts_on(rules) == {}


def test_what_an_experiment_has_for_itself_goes_with_its_configuration(rules):
    """A plan that somebody put there, without a log, is not known to be ours."""
    files, other = PLAN.of_experiment("letters"), PLAN.of_experiment("old")
    for path in (*files.outputs.values(), *other.outputs.values(), files.log, other.log):
        write(path)
    write(PRUNABLE.of_experiment("mine").outputs["table"])
    kept = [
        rule._replace(jobs=[{"experiment": "letters"}]) if "{experiment}" in rule.files[0][0] else rule
        for rule in rules
        if rule.files
    ]
    why = ("plan", "no configuration whose results stay is named old")
    unknown = {"results/experiments/mine/prunable.csv": ("unknown", "not made by the workflow: kept")}
    assert verdicts_on(kept) == dict.fromkeys((*other.outputs.values(), other.log), why) | unknown


def test_what_an_experiment_without_a_name_has_goes_when_all_have_names(rules):
    write(PLAN.log), write("results/plan.txt"), write("results/plan.csv")
    named_only = [rule._replace(jobs=[]) if rule.stage == "plan" else rule for rule in rules]
    assert {stage for stage, _ in verdicts_on(named_only).values()} == {"plan"}
    assert "has a name, and a folder of that name" in verdicts_on(named_only)["results/plan.txt"][1]


def test_tables_of_an_earlier_version_go(rules):
    """A table that somebody put there, without a log, is not known to be ours."""
    tables = [f"tables/sample_types{name}" for name in (".csv", ".parquet", "_overall.csv", "_overall.parquet")]
    write("results/logs/analyse.log"), write("results/logs/experiments/mine/analyse.log"), write(PARTIAL_REPORT.log)
    for folder in ("results", "results/experiments/mine", "results/partial", "results/experiments/other"):
        for table in tables:
            write(f"{folder}/{table}")
    found = verdicts_on(rules)
    why = "made by an earlier version of the workflow"
    ours = {"results": "analyse", "results/experiments/mine": "analyse", "results/partial": "partial_report"}
    for folder, stage in ours.items():
        assert [found[f"{folder}/{table}"] for table in tables] == [(stage, why)] * 4
    assert {found[f"results/experiments/other/{table}"] for table in tables} == {("unknown", "not made by the workflow: kept")}


def test_sheet_that_somebody_filled_in_stays(rules):
    """Also where a copy of the folder has lost the times of its files."""
    blank, filled = "id,question,good,comment\na_1,Why?,,\n", "id,question,good,comment\na_1,Why?,3,\n"
    for annotator, text, days in (("ben", blank, 5.001), ("carl", blank, 2), ("dora", filled, 5.001), ("emil", "?", 5.001)):
        write(f"results/logs/human_sheets/e/{annotator}.log", days=5)
        write(f"results/human_sheets/e/{annotator}.csv", text, days)
    stages = {Path(path).stem: stage for path, (stage, _) in verdicts_on(rules).items() if path.endswith("csv")}
    assert stages == {"ben": "human_sheet"} | dict.fromkeys(("carl", "dora", "emil"), "unknown")


def test_half_written_files_go_when_no_job_can_be_writing_them(rules):
    young, old = (
        write(f"results/adapters/reply/{RUN}/.weights.partial"),
        write(f"results/adapters/reply/.{RUN}.partial/weights", days=2),
    )
    assert verdicts_on(rules) == {old: ("leftover", "half-written by a job that was killed")}
    assert Path(young).exists()


def test_logs_of_snakemake_go_after_a_month(rules):
    write(".snakemake/log/new.log", days=29)
    write("results/logs/slurm/train/1.log", days=29)
    old = {write(".snakemake/log/old.log", days=31), write("results/logs/slurm/train/0.log", days=31)}
    assert {path for path, (stage, _) in verdicts_on(rules).items() if stage == "snakemake"} == old == set(verdicts_on(rules))


def state(family, name, days=0.0, **whose):
    path = Path(write(f"results/.state/{family}/{name}", days=days))
    if whose:
        described = path if family != "training" else path.parent
        describe_state(described, whose)
        os.utime(described.with_suffix(".json"), (time.time() - days * DAY_S,) * 2)
    return path.as_posix()


def test_unfinished_work_for_the_grid_stays_however_old_it_is(rules):
    state("training", "abc/checkpoint.safetensors", days=400, result=f"results/adapters/reply/{RUN}/manifest.json")
    assert verdicts_on(rules) == {}


def test_unfinished_work_for_what_is_not_in_the_grid_can_go(rules):
    state("training", "abc/checkpoint.safetensors", result=f"results/adapters/reply/{OLD}/manifest.json")
    write(f"results/logs/reply/{OLD}.log")
    verdicts = {path: verdict for path, verdict in verdicts_on(rules).items() if ".state" in path}
    why = ("state of training", "nb_samples 8 is not in the grid")
    assert verdicts == dict.fromkeys(
        ("results/.state/training/abc.json", "results/.state/training/abc/checkpoint.safetensors"), why
    )


@pytest.mark.parametrize(("days", "goes"), [(3, True), (1, False)])
def test_unfinished_work_can_go_when_its_result_was_finished_after_it(rules, days, goes):
    write(f"results/adapters/reply/{RUN}/manifest.json", days=2)
    journal = state("training", "abc/checkpoint", days=days, result=f"results/adapters/reply/{RUN}/manifest.json")
    assert (verdicts_on(rules).get(journal) == ("state of training", "its result is finished")) == goes


@pytest.mark.parametrize(("days", "stage"), [(29, "unknown"), (31, "state of predictions")])
def test_state_that_does_not_say_whose_it_is_stays_for_a_month(rules, days, stage):
    journal = state("predictions", "abc.jsonl", days=days)
    assert verdicts_on(rules)[journal][0] == stage


def test_what_killed_jobs_left_for_their_benchmarks_goes(rules):
    left = write("results/.state/shares/0123.json")
    assert verdicts_on(rules) == {left: ("state of shares", "left by a job that was killed")}


def test_lock_that_a_killed_job_has_left_goes_and_one_that_is_held_stays(rules):
    left = write("results/.state/locks/0123.lock")
    assert verdicts_on(rules) == {left: ("state of locks", "left by a job that was killed")}
    with only_job_for("results/a", Path("results/.state/locks")):
        [held] = {path.as_posix() for path in Path("results/.state/locks").iterdir()} - {left}
        _, problems = remove(listed(left, held))
        assert problems == [f"{held}: a job uses it just now; kept."]


@pytest.mark.parametrize(("days", "goes"), [(3, True), (1, False)])
def test_what_was_done_ahead_can_go_with_its_log_when_its_result_was_finished_after_it(rules, days, goes):
    write(f"results/adapters/reply/{RUN}/manifest.json", days=2)
    place = "results/.state/ahead/train/abc"
    describe_state(Path(place), {"result": f"results/adapters/reply/{RUN}/manifest.json"})
    write(f"{place}.log", days=days)
    write(f"{place}/loss.csv", days=days)
    os.utime(f"{place}.json", (time.time() - days * DAY_S,) * 2)
    why = ("state of ahead/train", "its result is finished")
    expected = {f"{place}.json": why, f"{place}.log": why, f"{place}/loss.csv": why} if goes else {}
    assert verdicts_on(rules) == expected


def test_list_of_jobs_that_a_killed_snakemake_has_left_goes_and_that_of_one_that_runs_stays(rules):
    left = write("results/.state/ahead/plan-0.jsonl")
    with held(Path("results/.state/ahead/plan-1.lock"), say_waiting=lambda: None):
        write("results/.state/ahead/plan-1.jsonl")
        assert verdicts_on(rules) == {left: ("state of ahead", "the list of jobs of a Snakemake that was killed")}


def test_state_of_an_unknown_kind_stays(rules):
    other = state("something", "abc.jsonl", days=400)
    assert verdicts_on(rules)[other][0] == "unknown"


def test_values_of_scorers_stay_while_a_scorer_with_these_settings_is_configured(rules):
    settings = config().scorers["rouge"].decisive_settings()
    state("scores", "rouge-0.jsonl", days=400, settings=settings)
    state("scores", "rouge-1.jsonl", days=400)
    other = state("scores", "rouge-2.jsonl", settings=settings | {"stemmer": False})
    gone = state("scores", "sbert-3.jsonl")
    lock = write("results/.state/scores/sbert-3.lock")
    assert set(verdicts_on(rules)) == {other, "results/.state/scores/rouge-2.json", gone, lock}


def test_judgements_stay_while_a_judge_asks_in_this_way(rules):
    kept = judge_store(config().scorers["judge"]).name
    state("judgements", kept, days=400)
    state("judgements", kept.replace(".jsonl", "-0123456789ab.jsonl"), days=400)
    gone = state("judgements", f"{fingerprint('another')[:32]}.jsonl")
    assert verdicts_on(rules) == {gone: ("state of judgements", "no judge of the configuration asks in this way")}


def listed(*rows):
    return [Row(path, len(Path(path).read_bytes()), "train", "why") for path in rows]


def test_nothing_is_removed_without_a_list_for_the_same_configuration(rules):
    in_use = find_in_use([configured(config())], rules)
    with pytest.raises(UserError, match=r"no such list.*Run 'snakemake prunable --cores 1'"):
        read_list(configuration_of(in_use))
    write_list(listed(write("results/a")), configuration_of(in_use))
    assert read_list(configuration_of(in_use)) == {("results/a", 1)}
    wider = in_use._replace(files=in_use.files | {"results/more"})
    with pytest.raises(UserError, match="for another configuration, so that nothing is removed"):
        read_list(configuration_of(wider))


def test_list_that_is_no_list_is_a_sentence():
    write(LIST, "path;bytes\nresults/a;1\n")
    with pytest.raises(UserError, match="expected the columns path, bytes and configuration"):
        read_list("0")


def test_list_for_an_archive_has_what_can_go_and_nothing_else():
    rows = [*listed(write("results/a")), Row("results/mine", 1, "unknown", "kept")]
    write_list(rows, "0", ["a.yaml", "b.yaml"])
    assert ARCHIVE_LIST.read_text() == "results/a\n"
    assert {line.rpartition(",")[2] for line in Path(LIST).read_text().splitlines()} == {"kept_for", "a.yaml; b.yaml"}


def test_summary_counts_by_stage_and_reason():
    rows = [Row("a", 1_500_000, "train", "seed 2"), Row("b", 0, "score", "seed 2"), Row("c", 9, "unknown", "kept")]
    said = summary(rows)
    assert re.search(r"^ +1 +1\.5  train$", said, re.MULTILINE)
    assert re.search(r"^ +2 +1\.5  seed 2$", said, re.MULTILINE)
    assert "1 files are not known" in said
    assert summary(rows, ["a.yaml", "b.yaml"]) == f"What these configurations ask for stays:\n    a.yaml\n    b.yaml\n{said}"
    assert "this removes them: snakemake prune " in said
    assert "prune" not in summary([]).replace("prunable", "")
    assert summary([rows[2]]).endswith("results/prunable.csv names them.")
    many = summary(Row(str(i), i, "train", f"seed {i}") for i in range(20))
    assert re.findall(r"seed (\d+)$|(and 8 reasons more)", many, re.MULTILINE)[:13] == [
        *((str(i), "") for i in range(19, 7, -1)),
        ("", "and 8 reasons more"),
    ]


def test_removed_files_take_empty_folders_with_them_and_nothing_else():
    rows = listed(write("results/a/b/c"), write("results/a/d/e"))
    write("results/a/d/mine")
    gone, problems = remove(rows)
    assert (gone, problems) == (rows, [])
    assert [path.as_posix() for path in sorted(Path("results").rglob("*"))] == ["results/a", "results/a/d", "results/a/d/mine"]


def test_state_that_a_job_uses_is_not_removed():
    [row] = listed(state("judgements", "abc.jsonl"))
    with open("results/.state/judgements/abc.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        gone, problems = remove([row])
        assert (gone, len(problems)) == ([], 1)
        assert "a job uses it just now" in problems[0]
    assert remove([row]) == ([row], [])


def test_nothing_is_removed_beside_another_snakemake():
    check_alone()
    write(".snakemake/locks/0.output.lock")
    with pytest.raises(UserError, match="Another Snakemake works in this folder"):
        check_alone()


def record(result, folder="metadata"):
    encoded = urlsafe_b64encode(result.encode()).decode()
    parts = [encoded[i : i + 254] for i in range(0, len(encoded), 254)]
    return write(Path(".snakemake", folder, *(f"@{part}" for part in parts[:-1]), parts[-1]), "{}")


def test_records_of_snakemake_go_with_results_that_nobody_asks_for():
    kept = {record(write("results/there")), record("results/wanted"), record("elsewhere/file"), write(".snakemake/metadata/odd!")}
    record("results/gone"), record("results/gone", "incomplete"), record(f"results/{'long/' * 60}gone")
    assert forget({"results/wanted"}) == 2
    assert {path.as_posix() for path in Path(".snakemake").rglob("*") if path.is_file()} == kept
    assert not list(Path(".snakemake").rglob("@*"))
    assert Path(".snakemake/incomplete").is_dir()


def test_description_of_a_state_that_was_not_written_to_its_end_says_nothing(rules):
    journal = state("predictions", "abc.jsonl", days=2)
    write("results/.state/predictions/abc.json", json.dumps({"result": "x"})[:-3], days=2)
    assert verdicts_on(rules)[journal][0] == "unknown"


def test_configuration_is_told_by_what_it_asks_for():
    in_use = InUse(frozenset("ab"), frozenset("c"), frozenset(), frozenset(), frozenset())
    assert configuration_of(in_use) == configuration_of(in_use._replace(files=frozenset("ba")))
    assert configuration_of(in_use) != configuration_of(in_use._replace(judges=frozenset("j")))
