import copy
import json
import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from loragrid.config import reference
from loragrid.config.load import parse_config
from loragrid.config.messages import located
from loragrid.config.on_disk import missing_files, stated_rows
from loragrid.config.root import Config
from loragrid.errors import UserError
from loragrid.grid.feasibility import oversized_mixes
from loragrid.inference.engines.hf import HfEngine
from loragrid.runtime.commands import command
from loragrid.sections import entry_of, with_speed

REPOSITORY = Path(__file__).parents[3]
DEFAULT = REPOSITORY / "config" / "config.yaml"


@pytest.fixture
def raw():
    return copy.deepcopy(yaml.safe_load(DEFAULT.read_text()))


def sentence(raw) -> str:
    with pytest.raises(UserError) as caught:
        parse_config(raw)
    return str(caught.value)


def test_default_config_is_valid_and_keeps_what_it_says(raw):
    config = parse_config(raw)
    assert config.configs["lora"].learning_rate == raw["configs"]["lora"]["learning_rate"]
    assert list(config.tasks) == ["challenge", "approach", "outcome"]


@pytest.mark.parametrize(
    ("path", "key", "nearest"),
    [
        ((), "modles", "models"),
        (("configs", "lora"), "learning_rat", "learning_rate"),
        (("models", "smollm2-135m"), "dtyp", "dtype"),
        (("models", "smollm2-135m", "source"), "sha265", "sha256"),
        (("scorers", "rouge"), "stemer", "stemmer"),
        (("tasks", "outcome", "sample_types", "auto"), "ouput", "output"),
        (("grid", 0), "nb_sample", "nb_samples"),
        (("sources", "aclsum", "splits", "train"), "row", "rows"),
    ],
)
def test_unknown_key_is_named_with_the_nearest_known_one(raw, path, key, nearest):
    section = raw
    for part in path:
        section = section[part]
    section[key] = 1
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in (*path, key)).removeprefix(".")
    assert sentence(raw) == f"{where}: unknown key; did you mean '{nearest}'?"


def test_unknown_key_without_a_near_one_lists_the_known_ones(raw):
    raw["report"]["zzz"] = 1
    assert (
        sentence(raw)
        == "report.zzz: unknown key; known: answers_in, comparisons, embed, examples, metric, smallest_difference, table, title."
    )


def test_missing_key_is_named(raw):
    del raw["models"]["smollm2-135m"]["source"]["path"]
    assert sentence(raw) == "models.smollm2-135m.source.path: this key is required but missing."


def test_value_outside_its_limits_is_named_with_the_limit(raw):
    raw["grid"][0]["nb_samples"] = [8, -5]
    assert sentence(raw) == "grid[0].nb_samples[1]: input should be greater than or equal to 0, not -5."


def test_zero_samples_are_refused_where_nothing_would_be_left_to_train_on(raw):
    raw["grid"][0]["nb_samples"] = [0, 8]
    assert sentence(raw).startswith("grid[0].nb_samples: 0 leaves nothing to train on")


def test_name_that_cannot_be_a_folder_is_refused(raw):
    raw["models"]["my__model"] = raw["models"].pop("smollm2-135m")
    assert sentence(raw).startswith("models.my__model: 'my__model' is not a valid name; expected letters and digits")


MODEL = "smollm2-135m"


def model(**settings):
    return lambda raw: raw["models"][MODEL].update(settings)


def both(*changes):
    return lambda raw: [change(raw) for change in changes]


def hosted(raw):
    raw["models"]["hosted"] = {"engine": {"type": "openai", "api": "chat"}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (model(engine="vllm"), f"models.{MODEL}.engine: expected a mapping of keys to values, not 'vllm'."),
        (model(engine={"type": "vlm"}), f"models.{MODEL}.engine.type: 'vlm' is unknown; expected one of hf, openai, vllm; did you mean 'vllm'?"),
        (model(engine={"batch_tokens": 5}), f"models.{MODEL}.engine.type: this key is required but missing."),
        (model(engine={"type": "hf", "concurrency": 3}), f"models.{MODEL}.engine.concurrency: unknown key; known: batch_tokens, type."),
        (model(source="models/x"), f"models.{MODEL}.source: expected a mapping of keys to values, not 'models/x'."),
        (lambda raw: raw["configs"].update(x=None), "configs.x: expected a mapping of keys to values, not None."),
        (model(engine={"type": "openai"}), f"grid[0].base_models: runs of '{MODEL}' cannot be asked; its server would have to load them"),
        (both(hosted, lambda raw: raw["grid"][0]["base_models"].append("hosted")), "grid[0].base_models: 'hosted' has no source, so that it cannot be trained"),
        (lambda raw: raw["models"].update(h={"dtype": "auto"}), "models.h: source is missing; only a model behind a server with api: chat needs none."),
        (both(hosted, lambda raw: raw["tasks"]["outcome"].update(cleaning={"tokenizer": "hosted", "min_tokens": 1})), "tasks.outcome.cleaning.tokenizer: 'hosted' has no source"),
        (model(engine={"type": "vllm"}, quantization="4bit"), f"models.{MODEL}.quantization: with vLLM this goes into engine.settings."),
        (both(model(engine={"type": "vllm"}), lambda raw: raw["configs"]["lora"].update(dora=True)), "grid[0].configs: 'lora' is no plain LoRA"),
        (both(model(quantization="8bit"), lambda raw: raw["configs"].update(lora={"method": "full"})), "grid[0].configs: 'lora' trains all weights"),
        (model(generation={"stop": "x"}), f"models.{MODEL}.generation.stop: input should be a valid list, not 'x'."),
        (model(chat_template_arguments={"tokenize": True}), f"models.{MODEL}.chat_template_arguments: 'tokenize' is no argument of a template"),
        (model(chat_template_arguments={"date_string": date(2024, 5, 1)}), f"models.{MODEL}.chat_template_arguments: date_string: expected text, not the date 2024-05-01; put it in quotes if it is text"),
        (model(chat_template_arguments={"enable_thinking": "False"}), f"models.{MODEL}.chat_template_arguments: enable_thinking: 'False' is text, and any text counts as true; write it without quotes"),
        (model(prompt_format="plain", chat_template_arguments={"enable_thinking": False}), f"models.{MODEL}: chat_template_arguments: prompts are written with the template 'plain'"),
        (lambda raw: raw["models"].update(h={"engine": {"type": "openai", "api": "chat"}, "chat_template_arguments": {"x": 1}}), "models.h: chat_template_arguments: the server writes the prompts"),
        (model(price={"hour": -1}), f"models.{MODEL}.price.hour: input should be greater than or equal to 0, not -1."),
    ],
)  # fmt: skip
def test_model_that_cannot_be_asked_is_named(raw, change, expected):
    change(raw)
    assert sentence(raw).startswith(expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"decodings": {"greedy": {"temperature": 1}}}, "decodings.greedy: this name is kept"),
        ({"promptings": {"zero_shot": {"type": "few_shot", "k": 1}}}, "promptings.zero_shot: this name is kept"),
        ({"decodings": {"w": {"top_p": 0.5}}}, "decodings.w: top_p, top_k and samples need a temperature above 0."),
        ({"decodings": {"w": {"samples": 3}}}, "decodings.w: top_p, top_k and samples need a temperature above 0."),
        ({"decodings": {"w": {"temperature": float("inf")}}}, "decodings.w.temperature: input should be a finite number, not inf."),
        ({"decodings": {"w": {"min_new_tokens": 5, "max_new_tokens": 4}}}, "decodings.w: min_new_tokens is larger than max_new_tokens (4)."),
    ],
)  # fmt: skip
def test_decoding_that_makes_no_sense_is_named(raw, change, expected):
    assert sentence(raw | change).startswith(expected)


def test_answers_cannot_be_shorter_than_their_shortest(raw):
    raw["decodings"] = {"w": {"min_new_tokens": 50}}
    raw["grid"][0].update(tasks=["outcome"], decodings=["w"])
    assert sentence(raw) == (
        f"grid[0].decodings: with 'w', answers of '{MODEL}' in task 'outcome' have at least 50 and at most 40 tokens."
    )


def test_least_length_of_answers_may_be_said_for_a_task_and_gives_way_to_what_a_decoding_says(raw):
    raw["tasks"]["outcome"]["min_new_tokens"] = 6
    raw["decodings"] = {"w": {"min_new_tokens": 3}}
    config = parse_config(raw)
    asked = {name: config.decoding(name, "outcome", MODEL).get("min_new_tokens") for name in ("greedy", "w")}
    assert asked == {"greedy": 6, "w": 3}
    assert "min_new_tokens" not in config.decoding("greedy", "challenge", MODEL)
    raw["tasks"]["outcome"]["min_new_tokens"] = 41
    assert sentence(raw) == "tasks.outcome: min_new_tokens is larger than max_new_tokens (40)."


def test_date_of_prompts_is_a_day_however_yaml_reads_it(raw):
    assert parse_config(raw).date == "2024-07-26"
    for written in ("2025-01-31", '"2025-01-31"'):
        assert parse_config(raw | {"date": yaml.safe_load(written)}).date == "2025-01-31"
    assert sentence(raw | {"date": "31 January"}) == "date: expected a date in the form 2025-01-31, not '31 January'."


def test_decoding_goes_before_the_model_and_the_model_before_the_task(raw):
    raw["decodings"] = {"warm": {"temperature": 1, "top_k": 5}, "short": {"max_new_tokens": 9}}
    raw["models"][MODEL]["generation"] = {"max_new_tokens": 30, "top_p": 0.9, "top_k": 7, "stop": ["."]}
    config = parse_config(raw)

    def settings(name):
        return config.decoding(name, "outcome", MODEL)

    assert (settings("greedy")["temperature"], settings("greedy")["max_new_tokens"], settings("greedy")["stop"]) == (0, 30, ["."])
    assert not settings("greedy").keys() & {"top_p", "top_k"}
    assert (settings("warm")["top_k"], settings("warm")["top_p"]) == (5, 0.9)
    assert settings("short")["max_new_tokens"] == 9
    del raw["models"][MODEL]["generation"]
    assert parse_config(raw).decoding("greedy", "outcome", MODEL)["max_new_tokens"] == 40


def test_engine_of_a_model_is_found_though_its_name_is_written_as_a_number():
    raw = {"models": {135: {"engine": {"type": "hf", "batch_tokens": 9}}, "other": {}}}
    of_rule = HfEngine(type="hf")
    assert with_speed(of_rule, entry_of(raw, "models", "135").get("engine")).batch_tokens == 9
    assert with_speed(of_rule, entry_of(raw, "models", "other").get("engine")).model_dump() == {
        "type": "hf",
        "batch_tokens": None,
    }


@pytest.mark.parametrize(
    ("axis", "name", "expected"),
    [
        ("base_models", "smolm2-135m", "grid[0].base_models: unknown base model 'smolm2-135m'; did you mean 'smollm2-135m'?"),
        ("tasks", "outcom", "grid[0].tasks: unknown task 'outcom'; did you mean 'outcome'?"),
        ("mixes", "target-only", "grid[0].mixes: unknown mix 'target-only'; did you mean 'target_only'?"),
        ("configs", "qlora", "grid[0].configs: unknown config 'qlora'; did you mean 'lora'?"),
    ],
)
def test_unknown_name_in_the_grid_is_named_with_the_nearest_known_one(raw, axis, name, expected):
    raw["grid"][0][axis] = [name]
    assert sentence(raw) == expected


def test_sample_type_that_a_task_does_not_have_is_named_with_the_task(raw):
    raw["grid"][0] |= {"tasks": ["outcome"], "sample_types": ["gold"]}
    assert sentence(raw) == "grid[0].sample_types: unknown sample type of task 'outcome': 'gold'; known: auto, manual."


@pytest.mark.parametrize(
    ("evaluate_on", "expected"),
    [
        (["outcom"], "unknown task 'outcom'; did you mean 'outcome'?"),
        (["outcome", "challenge"], "unknown sample type of task 'outcome': 'manual'; did you mean 'manuall'?"),
        ({"tasks": ["outcome"]}, "unknown sample type of task 'outcome': 'manual'; did you mean 'manuall'?"),
        ("every", "expected same, all, a list of tasks, or a mapping with tasks and sample_types, not 'every'."),
        ([["outcome"]], "expected same, all, a list of tasks, or a mapping with tasks and sample_types."),
    ],
)
def test_task_that_a_block_cannot_be_evaluated_on_is_named(raw, evaluate_on, expected):
    types = raw["tasks"]["outcome"]["sample_types"]
    types["manuall"] = types.pop("manual")
    raw["grid"][0] |= {"tasks": ["challenge"], "sample_types": ["manual"], "evaluate_on": evaluate_on}
    assert sentence(raw) == f"grid[0].evaluate_on: {expected}"


@pytest.mark.parametrize(
    ("evaluate_on", "expected"),
    [
        ({"sample_types": ["manul"]}, ".sample_types: unknown sample type of task 'challenge': 'manul'; did you mean 'manual'?"),
        ({"tasks": ["outcome"], "sample_types": ["manual"]}, ": unknown sample type of task 'outcome': 'manual'; known: auto."),
        ({"sample_types": []}, ".sample_types: expected same or a list of sample types."),
        ({"sample_types": "manual"}, ".sample_types: expected same or a list of sample types, not 'manual'."),
        ({"sample_type": ["manual"]}, ".sample_type: unknown key; did you mean 'sample_types'?"),
        ({"tasks": "some"}, ".tasks: expected same, all or a list of tasks, not 'some'."),
    ],
)
def test_sample_type_on_whose_references_a_block_cannot_be_tested_is_named(raw, evaluate_on, expected):
    del raw["tasks"]["outcome"]["sample_types"]["manual"]
    raw["grid"][0] |= {"tasks": ["challenge"], "sample_types": ["auto"], "evaluate_on": evaluate_on}
    assert sentence(raw) == f"grid[0].evaluate_on{expected}"


def test_prompt_variant_that_an_evaluated_task_does_not_have_is_named(raw):
    raw["tasks"]["challenge"]["prompt_variants"] = {21: {"instruction": "Other."}}
    raw["grid"][0] |= {"tasks": ["challenge"], "prompt_variants": [21], "evaluate_on": ["outcome"]}
    assert sentence(raw) == "grid[0].evaluate_on: unknown prompt variant of task 'outcome': '21'; known: default."


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda raw: raw["tasks"]["outcome"].update(scorers=["rogue"]), "tasks.outcome.scorers: unknown scorer 'rogue'; did you mean 'rouge'?"),
        (lambda raw: raw["tasks"]["outcome"].update(source="acl"), "unknown data source 'acl'"),
        (lambda raw: raw["scorers"]["sbert"].update(encoder="minilm"), "scorers.sbert.encoder: unknown encoder 'minilm'; did you mean 'minilm-l6'?"),
        (lambda raw: raw["report"].update(metric="rouge/rougel"), "report.metric: unknown metric 'rouge/rougel'; did you mean 'rouge/rougeL'?"),
        (lambda raw: raw["tasks"]["outcome"].update(metric="rouge/rougel"), "tasks.outcome.metric: unknown metric of this task's scorers: 'rouge/rougel'; did you mean 'rouge/rougeL'?"),
        (lambda raw: raw["tasks"]["outcome"].update(scorers=["rouge"], metric="exact_match/exact_match"), "tasks.outcome.metric: unknown metric of this task's scorers: 'exact_match/exact_match'; known:"),
        (lambda raw: raw["report"].update(table={"metrics": ["rouge/rougel"]}), "report.table.metrics: unknown metric 'rouge/rougel'; did you mean 'rouge/rougeL'?"),
        (lambda raw: raw["report"].update(table={"rows": ["tasks"]}), "report.table.rows[0]: input should be 'base_model', 'task', 'sample_type',"),
        (lambda raw: raw["report"].update(table={"rows": ["seed"]}), "report.table.rows[0]: input should be 'base_model', 'task', 'sample_type',"),
        (lambda raw: raw["report"].update(table={"rows": ["task"], "columns": ["metric", "task"]}), "report.table: 'task' stands twice among rows and columns; an axis is in one place."),
        (lambda raw: raw["report"].update(table={"metrics": ["rouge/rouge1"] * 2}), "report.table: 'rouge/rouge1' stands twice among metrics."),
        (lambda raw: raw["report"].update(table={"row": ["task"]}), "report.table.row: unknown key; did you mean 'rows'?"),
        (lambda raw: raw["tasks"]["outcome"]["sample_types"]["auto"].clear(), "exactly one of 'output' and 'outputs' must be given"),
        (lambda raw: raw["encoders"].update({"smollm2-135m": raw["encoders"]["minilm-l6"]}), "a base model has this name already"),
        (lambda raw: raw["tasks"]["outcome"].update(input="{{ abstract"), "tasks.outcome.sample_types.manual.input: not a valid template"),
        (lambda raw: raw["tasks"]["outcome"].update(prompts="{{ abstract }}"), "tasks.outcome.sample_types.manual.prompts: not a valid expression: an expression stands without {{ and }}"),
    ],
)  # fmt: skip
def test_reference_to_nothing_is_named(raw, change, expected):
    change(raw)
    assert expected in sentence(raw)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: one.update(base_model="smolm2-135m"), "external_predictions.theirs.base_model: unknown base model 'smolm2-135m'; did you mean 'smollm2-135m'?"),
        (lambda one: one.update(prediction="{{ answer"), "external_predictions.theirs.prediction: not a valid template: "),
        (lambda one: one.update(match="text"), "external_predictions.theirs.match: input should be 'id' or 'prompt', not 'text'."),
        (lambda one: one.update(file="x"), "external_predictions.theirs.file: unknown key; did you mean 'files'?"),
        (lambda one: one["files"][0].update(task="outcom"), "external_predictions.theirs.files[0].task: unknown task 'outcom'; did you mean 'outcome'?"),
        (lambda one: one["files"][0].update(sample_type="manuel"), "external_predictions.theirs.files[0].sample_type: unknown sample type of task 'outcome': 'manuel'; did you mean 'manual'?"),
        (lambda one: one["files"].append(one["files"][0]), "external_predictions.theirs.files[1]: there is another file for task 'outcome', sample type 'manual' already."),
    ],
)  # fmt: skip
def test_mistake_in_external_predictions_is_named(raw, change, expected):
    theirs = {"files": [{"path": "x.jsonl", "task": "outcome", "sample_type": "manual"}]}
    raw["external_predictions"] = {"theirs": copy.deepcopy(theirs)}
    parse_config(raw)
    change(raw["external_predictions"]["theirs"])
    assert sentence(raw).startswith(expected)


def test_external_predictions_for_examples_with_several_prompts_are_refused(raw):
    raw["tasks"]["outcome"] |= {"input": "", "prompts": "sentences.abstract", "answers": "joined"}
    raw["external_predictions"] = {"theirs": {"files": [{"path": "x.jsonl", "task": "outcome", "sample_type": "manual"}]}}
    assert sentence(raw) == (
        "external_predictions.theirs.files[0].task: examples of task 'outcome' have several prompts, for which predictions "
        "cannot be imported."
    )


def test_name_for_external_predictions_is_kept_for_them(raw):
    raw["models"]["external"] = raw["models"]["smollm2-135m"]
    assert sentence(raw) == "models.external: this name is kept for external predictions that have no base model."


def test_all_problems_are_told_at_once(raw):
    raw["report"]["titel"] = ""
    raw["configs"]["lora"]["rank"] = 0
    assert len(sentence(raw).splitlines()) == 2


def test_template_that_is_no_utf_8_text_is_named(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("data/prompts/mine.jinja", "chat.jinja"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes("{{ instruction }} für".encode("cp1252"))
    raw["models"]["smollm2-135m"] |= {"prompt_format": "mine"}
    raw["models"]["other"] = raw["models"]["smollm2-135m"] | {"prompt_format": "chat", "chat_template": "chat.jinja"}
    problem = "is not UTF-8 text (byte 20 is 0xFC); save it as UTF-8."
    assert [line for line in missing_files(parse_config(raw)) if "UTF-8" in line] == [
        f"models.smollm2-135m.prompt_format: 'data/prompts/mine.jinja' {problem}",
        f"models.other.chat_template: 'chat.jinja' {problem}",
    ]


def test_missing_local_files_are_named(raw):
    raw["models"]["local"] = {"source": {"path": "no/such/model"}}
    raw["sources"]["mine"] = {"splits": {split: {"path": f"no/{split}.jsonl"} for split in ("train", "validation", "test")}}
    raw["external_predictions"] = {"theirs": {"files": [{"path": "no/x.csv", "task": "outcome", "sample_type": "auto"}]}}
    found = list(missing_files(parse_config(raw)))
    assert found.pop(1) == (
        "external_predictions.theirs.files[0].path: 'no/x.csv' does not exist. "
        f"If it is still to be made, put an empty file there: '{command('datasets')}' then writes the ids and questions."
    )
    assert found[0] == "models.local.source.path: 'no/such/model' does not exist."
    assert [line.split(":")[0] for line in found[1:]] == [
        f"sources.mine.splits.{s}.path" for s in ("train", "validation", "test")
    ]


def test_rows_of_a_local_file_are_counted_and_those_of_a_package_taken_from_the_config(raw, tmp_path):
    data = tmp_path / "train.jsonl"
    data.write_text("{}\n\n{}\n{}\n")
    raw["sources"]["mine"] = {"splits": {split: {"path": str(data)} for split in ("train", "validation", "test")}}
    raw["tasks"]["outcome"]["sample_types"]["manual"]["source"] = "mine"
    rows = stated_rows(parse_config(raw))
    assert rows["outcome", "manual"] == 3
    assert rows["outcome", "auto"] == 100


@pytest.mark.parametrize(
    "source",
    [{"splits": {"test": {"path": "x.txt"}}}, {"hub": "a/b", "revision": "v1", "splits": {"test": "validation"}}],
    ids=["files", "hub"],
)
def test_source_may_have_test_rows_only_and_then_nothing_to_train_on(raw, source):
    raw["sources"]["mine"] = source
    raw["tasks"]["outcome"]["sample_types"]["manual"]["source"] = "mine"
    config = parse_config(raw)
    assert stated_rows(config)["outcome", "manual"] == 0
    assert next(oversized_mixes(config, stated_rows(config))).startswith(
        "grid[0].nb_samples[0]: 4 is more than the 0 training examples of task 'outcome', sample type 'manual'."
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"splits": {}}, "'test' is missing, or 'all' or 'train' to cut it from."),
        ({"splits": {"validation": {"path": "x.csv"}}, "split": {"test": 0.1}}, "'test' is missing, or 'all' or 'train' to cut it from."),
        ({"splits": {"train": {"path": "x.csv"}}}, "'test' is missing; give one, or cut it with split.test or split.test_per_task."),
    ],
)  # fmt: skip
def test_source_without_anything_to_test_on_is_named(raw, source, expected):
    raw["sources"]["mine"] = source
    assert sentence(raw) == f"sources.mine.splits: {expected}"


def test_grid_may_be_empty_where_there_are_external_predictions(raw):
    theirs = {"theirs": {"files": [{"path": "x.jsonl", "task": "outcome", "sample_type": "manual"}]}}
    only = {key: raw[key] for key in ("sources", "tasks", "scorers", "encoders")}
    for empty in ({}, {"grid": [], "models": {}, "mixes": {}, "configs": {}}):
        config = parse_config(only | empty | {"external_predictions": theirs})
        assert (config.grid, config.models) == ([], {})
        assert sentence(only | empty) == "grid: there is nothing to do; give blocks of combinations, or external_predictions."


def test_sentence_is_located_in_the_file_that_holds_the_key(tmp_path):
    default, override = tmp_path / "a.yaml", tmp_path / "b.yaml"
    default.write_text("configs: {lora: {rank: 8}}\ngrid: [{seeds: [1]}]")
    override.write_text("grid: [{seeds: [-1]}]")
    assert located("grid[0].seeds[0]: bad.", [default, override]) == f"{override}: grid[0].seeds[0]: bad."
    assert located("configs.lora.rank: bad.", [default, override]) == f"{default}: configs.lora.rank: bad."
    assert located("nowhere: bad.", [default, override]) == "nowhere: bad."


def test_one_number_seeds_everything_unless_it_is_spelled_out(raw):
    raw["seeds"] = {7: {"adapter_init": 1, "data_order": 2, "mix": 3}}
    config = parse_config(raw)
    assert config.seeds_of(7).model_dump() == {"adapter_init": 1, "data_order": 2, "mix": 3}
    assert config.seeds_of(5).model_dump() == {"adapter_init": 5, "data_order": 5, "mix": 5}


@pytest.mark.parametrize(
    ("section", "resources", "expected"),
    [
        ("models", {"train": {"gpus": 1}}, "resources.train.gpus: unknown key; did you mean 'gpu'?"),
        ("models", {"trian": {"gpu": 1}}, "resources.trian: unknown key; did you mean 'train'?"),
        ("models", {"train": {"gpu_model": "a100"}}, "resources.train: gpu_model needs gpu"),
        ("models", {"predict": {"runtime": 0}}, "resources.predict.runtime: "),
        ("encoders", {"train": {"gpu": 1}}, "resources.train: unknown key; known: import_model, score"),
    ],
)
def test_mistake_in_the_resources_of_a_model_is_named(raw, section, resources, expected):
    raw[section]["m"] = {"source": {"path": "m"}, "resources": resources}
    assert f"{section}.m.{expected}" in sentence(raw)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (reference.SCHEMA, reference.schema_text()),
        (reference.CONFIGURATION, reference.configuration_text()),
        (reference.RECORDS, reference.records_text()),
    ],
    ids=["schema", "configuration", "records"],
)
def test_generated_references_are_those_of_the_code(path, text):
    assert (REPOSITORY / path).read_text() == text, "run `make schema`"


def test_schema_accepts_the_default_config_and_refuses_an_unknown_key(raw):
    import jsonschema

    schema = json.loads((REPOSITORY / reference.SCHEMA).read_text())
    jsonschema.validate(raw, schema)
    raw["configs"]["lora"]["learning_rat"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, schema)


def test_editors_are_pointed_to_the_schema():
    header = DEFAULT.read_text().splitlines()[0]
    path = re.fullmatch(r"# yaml-language-server: \$schema=(.+)", header)[1]
    assert (DEFAULT.parent / path).resolve() == REPOSITORY / reference.SCHEMA


def test_every_key_has_a_description():
    definitions = Config.model_json_schema()["$defs"]
    bare = [
        f"{n}.{k}"
        for n, d in definitions.items()
        for k, v in d["properties"].items()
        if "description" not in v and "$ref" not in v
    ]
    assert bare == []


def test_conda_environments_pin_the_versions_of_the_lock_file():
    lock = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)) | {
        "torch": "2.13.0"
    }
    for path in (REPOSITORY / "envs").glob("*.yaml"):
        pinned = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
        assert {p: lock[p.partition("==")[0]] for p in pinned} == {p: p.partition("==")[2] for p in pinned}, path


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([True, False], "expected texts; in YAML true, false, yes and no are none unless they stand in quotes"),
        (["a", None], "expected texts, found nothing (null or ~); put it in quotes if it is text"),
        ({"a": ["b", date(2024, 5, 1)], "c": []}, "expected texts, found date 2024-05-01; put it in quotes if it is text"),
        ({True: ["right"], "b": []}, "expected texts"),
        ("a", "expected a list of labels, or a mapping of each to the list of its synonyms, not 'a'"),
        ({"a": "x", "b": "y"}, "expected a list of labels, or a mapping of each to the list of its synonyms"),
    ],
)
def test_labels_that_are_none_are_told_in_one_sentence(raw, labels, expected):
    raw["scorers"]["lab"] = {"type": "label", "labels": labels}
    assert sentence(raw).startswith(f"scorers.lab.labels: {expected}")
    assert "\n" not in sentence(raw)


def test_examples_of_the_documentation_are_yaml():
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    blocks = [block for page in pages for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]
    assert len(blocks) > 30
    assert all(isinstance(yaml.safe_load(block), dict) for block in blocks)


def test_each_task_has_a_main_metric_that_its_scorers_give(raw):
    raw["report"]["metric"] = "rouge/rougeL"
    assert parse_config(raw).main_metrics == ("rouge/rougeL", {})
    raw["tasks"]["outcome"]["metric"] = "sbert/cosine"
    # No scorer of this task gives the main metric of the others.
    raw["tasks"]["challenge"]["scorers"] = ["exact_match", "sbert"]
    main = parse_config(raw).main_metrics
    assert [main.of(task) for task in ("challenge", "approach", "outcome")] == [
        "exact_match/exact_match",
        "rouge/rougeL",
        "sbert/cosine",
    ]
    # The one that all have anyhow says nothing new.
    raw["tasks"]["approach"]["metric"] = "rouge/rougeL"
    assert parse_config(raw).main_metrics == main
