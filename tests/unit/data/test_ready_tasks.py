"""The builders under data/builders and the tasks under config/tasks."""

import csv
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from loragrid.config.load import parse_config
from loragrid.data.external import match_answers, read_answers
from loragrid.data.rows import read_rows
from loragrid.data.splitting import clean_splits, divide, draft
from loragrid.runtime.templates import fill_template

REPOSITORY = Path(__file__).parents[3]
GENERICS = REPOSITORY.parent / "shared" / "data" / "generics"
needs_generics = pytest.mark.skipif(not GENERICS.is_dir(), reason="needs the generics files under ../shared/data/generics")


def load(name):
    specification = importlib.util.spec_from_file_location(name, REPOSITORY / "data" / "builders" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def generics_files(tmp_path):
    """Twenty generics, each with two exemplars, for either polarity."""
    for name in ("negative", "positive"):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["generic", "exemplar"])
            writer.writerows([f"Birds {i} fly.", f"{name} {k} {i}."] for i in range(20) for k in "ab")
    return {name: tmp_path / f"{name}.csv" for name in ("negative", "positive")}


def test_generics_make_a_refuted_and_a_supported_statement_of_each_exemplar(generics_files):
    splits = load("generics").build(generics_files, test_share=0.1)
    assert {split: len(found) for split, found in splits.items()} == {"train": 72, "test": 8}
    by_statement = {row["statement"].split(" ")[0]: row["answer"] for row in splits["test"]}
    assert by_statement["All"].startswith("False, negative a")
    assert by_statement["Not"].startswith("True, negative a")
    assert by_statement["Some"].startswith("True, some positive a")
    assert by_statement["No"].startswith("False, some positive a")


def test_generics_keep_each_generic_in_one_split_and_all_exemplars_on_request(generics_files):
    splits = load("generics").build(generics_files, exemplars="all", subset_percent=50, test_share=0.2)
    for polarity in ("negative", "positive"):
        train, test = ({r["generic"] for r in splits[s] if r["polarity"] == polarity} for s in ("train", "test"))
        assert train.isdisjoint(test)
        assert (len(train), len(test)) == (8, 2)
    assert len(splits["test"]) == 2 * 2 * 2 * 2


@needs_generics
def test_generics_are_the_published_test_queries_in_their_order():
    blocks = re.split(r"^<QUERY>", (GENERICS / "model6_outputs.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    published = [(b.partition("\n")[0].strip(), re.search(r"<EXPECTED OUTPUT>(.*)", b, re.DOTALL)[1].strip()) for b in blocks]
    files = {name: GENERICS / f"{name}.csv" for name in ("negative", "positive")}
    built = load("generics").build(files, exemplars="first", subset_percent=25, test_share=0.1)["test"]
    assert len(published) == 844
    assert [(row["statement"], row["answer"]) for row in built] == published


WORDNET = """  1 a licence
00000001 03 n 01 entity 0 000 | that which exists
00000002 05 n 01 animal 0 001 @ 00000001 n 0000 | a living organism; "an example"
00000003 05 n 02 wild_dog 0 dog 1 002 @ 00000002 n 0000 ~ 00000004 n 0000 | a canid
00000004 05 n 01 Rex 0 001 @i 00000003 n 0000 | one dog
"""


def test_wordnet_statements_are_true_of_a_hypernym_and_false_of_a_stranger(tmp_path):
    (tmp_path / "data.noun").write_text(WORDNET)
    module = load("wordnet")
    synsets = module.read_synsets(tmp_path / "data.noun")
    assert synsets["00000003"] == ("wild dog", ["00000002"], "a canid")
    assert module.ancestors(synsets, "00000003") == {"00000001", "00000002"}
    rows = module.build({"nouns": tmp_path / "data.noun"})
    assert {row["noun"] for row in rows} == {"animal", "wild dog"}
    for row in rows:
        assert re.match(r"A[n]? .+ is a kind of (entity|animal)\.", row["statement"])
        assert row["answer"].startswith(("True. A", "False. A"))
    # An animal is no kind of animal; both are entities.
    assert all(row["answer"].startswith("True") for row in rows if row["statement"].endswith("entity."))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "config" / "tasks").glob("*.yaml")), ids=lambda path: path.stem)
def test_ready_made_tasks_fit_the_default_configuration(path):
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    added = yaml.safe_load(path.read_text())
    assert set(added) <= {"sources", "tasks", "scorers"}
    for section, entries in added.items():
        assert config[section].keys().isdisjoint(entries)
        config[section] |= entries
    tasks = parse_config(config).tasks
    assert all(name in tasks for name in added["tasks"])
    assert path.name in (REPOSITORY / "config" / "tasks" / "README.md").read_text()


@needs_generics
def test_every_published_answer_finds_its_question_by_its_prompt():
    config = parse_config(overlaid(REPOSITORY / "config" / "experiments" / "published_generics.yaml"))
    assert config.grid == []
    task = config.tasks["published_generics"]
    polarities = {}
    for name, predictions in config.external_predictions.items():
        fields, source = task.data_set(name), config.sources[f"generics_{name}"]
        rows = list(read_rows(GENERICS / Path(source.splits.test.path).name))
        drafted = {"test": list(draft(rows, fields, source, "published_generics", name))}
        splits, _ = clean_splits(divide(drafted, source.split))
        test = splits["test"]
        assert len(test) == source.splits.test.rows
        answers = read_answers(rows, predictions.key, predictions.prediction)
        found, ignored, *_ = match_answers("f", answers, test, test, predictions.match)
        assert [(one.key, one.text) for one in found] == [(row["query"], row["model_output"]) for _, row in rows]
        assert ignored == []
        polarities[name] = Counter(example.metadata["polarity"] for example in test)
        said = {(example.input.split()[0], rule_of(task, example)) for example in test}
        assert said <= {("All", "False"), ("Not", "True"), ("Some", "True"), ("No", "False")}
    assert polarities == {"model6": {"negative": 526, "positive": 318}, "model3": {"negative": 420}}


def rule_of(task, example):
    return fill_template(task.rule, {"instruction": example.instruction, "input": example.input, "metadata": example.metadata})


def overlaid(path):
    """An experiment laid over the default one, as Snakemake does it."""
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    update_config(config, yaml.safe_load(path.read_text()))
    return config


@needs_generics
def test_generics_have_the_published_lengths():
    def lengths(texts, measure):
        found = [measure(text) for text in texts]
        return min(found), round(sum(found) / len(found), 2), max(found)

    expected = {"negative": ((10, 29.58, 95), (2, 4.68, 20), 68.47), "positive": ((10, 27.07, 94), (2, 4.17, 17), 35.04)}
    for polarity, (characters, words, exemplar) in expected.items():
        of_generic = load("generics").read_exemplars(GENERICS / f"{polarity}.csv")
        # Counted once for each row of the file.
        generics = [generic for generic, found in of_generic.items() for _ in found]
        assert lengths(generics, len) == characters
        assert lengths(generics, lambda text: len(text.split())) == words
        assert lengths((e for found in of_generic.values() for e in found), len)[1] == exemplar
