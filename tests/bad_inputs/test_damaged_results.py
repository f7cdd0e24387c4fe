"""Results that were damaged after they were finished: whoever reads them says which file it is, and what to delete."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from damaged import (
    ADAPTER,
    BASELINE,
    DATA,
    MIX,
    PREDICTED,
    SCORED,
    SCORED_BASELINE,
    TEST,
    TOKENS,
    cut,
    flip,
    lines,
    write_results,
)
from loragrid.analysis.reading import read_predictions, read_scores
from loragrid.analysis.related_rows import refuse_unrelated_rows
from loragrid.data.counts import count_examples, count_mixes
from loragrid.data.decontamination import read_leaks
from loragrid.data.tokens import read_tokens
from loragrid.errors import DamagedError
from loragrid.inference.prompts import read_demonstrations
from loragrid.records import Example, read_records
from loragrid.runtime.files import file_sha256, write_json
from loragrid.runtime.manifests import read_json, refuse_damaged_model, stated_hashes, verified_sha256
from loragrid.runtime.model_folders import content_of_model
from loragrid.scoring.registry import parse_scorer

AGAIN = " Delete {}; the next snakemake makes it again."
FACTS = {"rouge": parse_scorer({"type": "rouge"}).facts()}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_results()


def tables():
    predictions, scores = read_predictions([PREDICTED, BASELINE]), read_scores([SCORED, SCORED_BASELINE])
    refuse_unrelated_rows(predictions, scores, [SCORED, SCORED_BASELINE], [TEST], FACTS)


def examples_of(path):
    return lambda: read_records(path, Example)


TRAIN, MIXED = f"{DATA}/train.jsonl", f"{MIX}/train.jsonl"
ROWS = [
    (
        "data set that was emptied",
        lambda: Path(TRAIN).write_text(""),
        examples_of(TRAIN),
        f"{TRAIN}: it has 0 rows, but {DATA}/manifest.json says 4." + AGAIN.format(TRAIN),
    ),
    (
        "data set that lost its last row",
        lambda: lines(TRAIN, lambda rows: rows[:-1]),
        examples_of(TRAIN),
        f"{TRAIN}: it has 3 rows, but {DATA}/manifest.json says 4." + AGAIN.format(TRAIN),
    ),
    (
        "data set with a row cut in the middle",
        lambda: cut(TRAIN, 0.9),
        examples_of(TRAIN),
        f"{TRAIN}, line 4: not valid JSON (Unterminated string starting at, column 93)." + AGAIN.format(TRAIN),
    ),
    (
        "data set with a row twice in place of another",
        lambda: lines(TRAIN, lambda rows: [rows[0], *rows[:-1]]),
        examples_of(TRAIN),
        f"{TRAIN}, line 2: the example of line 1 is there again." + AGAIN.format(TRAIN),
    ),
    (
        "data set with two rows in each other's place",
        lambda: lines(TRAIN, lambda rows: rows[::-1]),
        examples_of(TRAIN),
        f"{TRAIN}: its SHA-256 is {{found}}…, but {DATA}/manifest.json says {{stated}}…." + AGAIN.format(TRAIN),
    ),
    (
        "data set with another letter",
        lambda: lines(TRAIN, lambda rows: [row.replace("WORD 1", "WORD 7") for row in rows]),
        examples_of(TRAIN),
        f"{TRAIN}: its SHA-256 is {{found}}…, but {DATA}/manifest.json says {{stated}}…." + AGAIN.format(TRAIN),
    ),
    (
        "data set whose row is a list",
        lambda: lines(TRAIN, lambda rows: [*rows[:3], "[1]\n"]),
        examples_of(TRAIN),
        f"{TRAIN}, line 4: not a valid example (line: input should be a valid dictionary or instance of example)."
        + AGAIN.format(TRAIN),
    ),
    (
        "data set with bytes that are no text",
        lambda: Path(TRAIN).write_bytes(b"\x93NUMPY" * 9),
        examples_of(TRAIN),
        f"{TRAIN}, line 1: not valid JSON (UnicodeDecodeError)." + AGAIN.format(TRAIN),
    ),
    (
        "data set with zeros",
        lambda: Path(TRAIN).write_bytes(bytes(99)),
        examples_of(TRAIN),
        f"{TRAIN}, line 1: not valid JSON (Expecting value, column 1)." + AGAIN.format(TRAIN),
    ),
    (
        "data set deeper than can be read",
        lambda: Path(TRAIN).write_text("[" * 100_000),
        examples_of(TRAIN),
        f"{TRAIN}, line 1: not valid JSON (RecursionError)." + AGAIN.format(TRAIN),
    ),
    (
        "folder in the place of a data set",
        lambda: [Path(TRAIN).unlink(), Path(TRAIN).mkdir()],
        examples_of(TRAIN),
        f"{TRAIN}: this is a folder, not a file with JSON lines." + AGAIN.format(TRAIN),
    ),
    (
        "mix with fewer rows than its manifest says",
        lambda: lines(MIXED, lambda rows: rows[:1]),
        examples_of(MIXED),
        f"{MIXED}: it has 1 rows, but {MIX}/manifest.json says 2." + AGAIN.format(MIXED),
    ),
    (
        "mix whose manifest counts in words",
        lambda: write_json(f"{MIX}/manifest.json", {"examples": {"train": {"t": "two"}}}),
        examples_of(MIXED),
        f"{MIX}/manifest.json: expected numbers as 'examples', not {{'t': 'two'}}." + AGAIN.format(f"{MIX}/manifest.json"),
    ),
    (
        "predictions that were emptied",
        lambda: Path(PREDICTED).write_text(""),
        tables,
        f"{PREDICTED}: it has 0 rows, but results/predictions/t/s/m/base.manifest.json says 8." + AGAIN.format(PREDICTED),
    ),
    (
        "predictions without the second answer to a question",
        lambda: lines(PREDICTED, lambda rows: [*rows[:3], *rows[4:]]),
        tables,
        f"{PREDICTED}: it has 7 rows, but results/predictions/t/s/m/base.manifest.json says 8." + AGAIN.format(PREDICTED),
    ),
    (
        "predictions with an answer twice",
        lambda: lines(PREDICTED, lambda rows: [*rows, rows[0]]),
        tables,
        f"{PREDICTED}, line 9: the prediction of line 1 is there again." + AGAIN.format(PREDICTED),
    ),
    (
        "predictions in another order",
        lambda: lines(PREDICTED, lambda rows: rows[2:] + rows[:2]),
        tables,
        f"{PREDICTED}: its rows are not in the order of {TEST}." + AGAIN.format(PREDICTED),
    ),
    (
        "predictions with answers in another order",
        lambda: lines(PREDICTED, lambda rows: [rows[1], rows[0], *rows[2:]]),
        tables,
        f"{PREDICTED}: expected 2 answers to example id6, found the answers [1, 0]." + AGAIN.format(PREDICTED),
    ),
    (
        "predictions with an answer to another question",
        lambda: lines(PREDICTED, lambda rows: [row.replace('"id9"', '"id1"') for row in rows]),
        tables,
        f"{PREDICTED}: rows of examples that {TEST} does not have: id1." + AGAIN.format(PREDICTED),
    ),
    (
        "predictions of another run",
        lambda: lines(PREDICTED, lambda rows: [*rows[:-1], rows[-1].replace('"run": "base"', '"run": "other"')]),
        tables,
        f"{PREDICTED}: the row of example id9 belongs to t/s/m/other." + AGAIN.format(PREDICTED),
    ),
    (
        "predictions whose manifest was cut",
        lambda: cut("results/predictions/t/s/m/base.manifest.json"),
        tables,
        "results/predictions/t/s/m/base.manifest.json: not valid JSON (Unterminated string starting at, line 3, column 3)."
        + AGAIN.format("results/predictions/t/s/m/base.manifest.json"),
    ),
    (
        "answers of a baseline that were emptied, and nothing counts them",
        lambda: Path(BASELINE).write_text(""),
        tables,
        f"{BASELINE}: it has no rows, but there is at least one test example." + AGAIN.format(BASELINE),
    ),
    (
        "answers of a baseline that were cut behind a row",
        lambda: lines(BASELINE, lambda rows: rows[:2]),
        tables,
        f"{BASELINE}: there is no row for examples of {TEST} that come before others in a subset: id9." + AGAIN.format(BASELINE),
    ),
    (
        "scores that were emptied",
        lambda: Path(SCORED).write_text(""),
        tables,
        f"{SCORED}: it has no rows, but {PREDICTED} has 8." + AGAIN.format(SCORED),
    ),
    (
        "scores without the last row",
        lambda: lines(SCORED, lambda rows: rows[:-1]),
        tables,
        f"{SCORED}: rouge2: there is no row for answers in {PREDICTED}: id9." + AGAIN.format(SCORED),
    ),
    (
        "scores with a row twice",
        lambda: lines(SCORED, lambda rows: [*rows, rows[-1]]),
        tables,
        f"{SCORED}, line 17: the score of line 16 is there again." + AGAIN.format(SCORED),
    ),
    (
        "scores in another order",
        lambda: lines(SCORED, lambda rows: rows[::-1]),
        tables,
        f"{SCORED}: rouge2: its rows are not in the order of {PREDICTED}." + AGAIN.format(SCORED),
    ),
    (
        "scores of an answer that there is not",
        lambda: lines(SCORED, lambda rows: [row.replace('"id9"', '"id3"') for row in rows]),
        tables,
        f"{SCORED}: rouge1: rows of answers that {PREDICTED} does not have: id3, id3." + AGAIN.format(SCORED),
    ),
    (
        "score that is a text",
        lambda: lines(SCORED, lambda rows: [rows[0].replace("0.5", '"high"'), *rows[1:]]),
        tables,
        f"{SCORED}, line 1: not a valid score (value: input should be a valid number, unable to parse string as a number)."
        + AGAIN.format(SCORED),
    ),
    (
        "scores of a baseline that lost rows: its answers are made in no time, with its scores",
        lambda: lines(SCORED_BASELINE, lambda rows: rows[:4]),
        tables,
        f"{SCORED_BASELINE}: rouge1: there is no row for answers in {BASELINE}: id8, id9." + AGAIN.format(BASELINE),
    ),
    (
        "manifest of a data set that was cut",
        lambda: cut(f"{DATA}/manifest.json"),
        lambda: count_examples([f"{DATA}/manifest.json"], []),
        f"{DATA}/manifest.json: not valid JSON (Unterminated string starting at, line 15, column 14)."
        + AGAIN.format(f"{DATA}/manifest.json"),
    ),
    (
        "manifest of a data set that is empty",
        lambda: Path(f"{DATA}/manifest.json").write_text(""),
        lambda: count_examples([f"{DATA}/manifest.json"], []),
        f"{DATA}/manifest.json: not valid JSON (Expecting value, line 1, column 1)." + AGAIN.format(f"{DATA}/manifest.json"),
    ),
    (
        "manifest of a data set that is another JSON",
        lambda: Path(f"{DATA}/manifest.json").write_text("{}"),
        lambda: count_examples([f"{DATA}/manifest.json"], []),
        f"{DATA}/manifest.json: expected the key 'task', which is not there." + AGAIN.format(f"{DATA}/manifest.json"),
    ),
    (
        "manifest of a mix that is a list",
        lambda: Path(f"{MIX}/manifest.json").write_text("[]"),
        lambda: count_mixes([f"{MIX}/manifest.json"]),
        f"{MIX}/manifest.json: expected a JSON object, not a list." + AGAIN.format(f"{MIX}/manifest.json"),
    ),
    (
        "manifest that is a folder",
        lambda: Path("results/x.json").mkdir(),
        lambda: read_json("results/x.json"),
        "results/x.json: this is a folder, not a file with JSON." + AGAIN.format("results/x.json"),
    ),
    (
        "manifest of binary bytes",
        lambda: Path("results/x.json").write_bytes(b"\xff\xd8\xff\xe0"),
        lambda: read_json("results/x.json"),
        "results/x.json: not valid JSON (UnicodeDecodeError)." + AGAIN.format("results/x.json"),
    ),
    (
        "list of leaks without a part",
        lambda: Path(f"{DATA}/leaks.json").write_text('{"train": {}}'),
        lambda: read_leaks(f"{DATA}/leaks.json"),
        f"{DATA}/leaks.json: expected the key 'validation', which is not there." + AGAIN.format(f"{DATA}/leaks.json"),
    ),
    (
        "demonstrations that the training data do not have",
        lambda: write_json("results/demonstrations/t/s/few.json", {"id6": ["id99"]}),
        lambda: read_demonstrations(TRAIN, "results/demonstrations/t/s/few.json"),
        f"results/demonstrations/t/s/few.json: it names examples that {TRAIN} does not have: id99."
        + AGAIN.format("results/demonstrations/t/s/few.json"),
    ),
    (
        "adapter with a flipped bit",
        lambda: flip(f"{ADAPTER}/adapter_model.safetensors"),
        lambda: verified_sha256(f"{ADAPTER}/adapter_model.safetensors"),
        f"{ADAPTER}/adapter_model.safetensors: its SHA-256 is {{found}}…, but {ADAPTER}/manifest.json says {{stated}}…."
        + AGAIN.format(f"{ADAPTER}/adapter_model.safetensors"),
    ),
    (
        "adapter whose settings were edited",
        lambda: flip(f"{ADAPTER}/adapter_config.json", 9),
        lambda: refuse_damaged_model(Path(ADAPTER), ["adapter_config.json"]),
        f"{ADAPTER}/adapter_config.json: its SHA-256 is {{found}}…, but {ADAPTER}/manifest.json says {{stated}}…."
        + AGAIN.format(f"{ADAPTER}/adapter_config.json"),
    ),
    (
        "file of a model that no rule names: its manifest brings it back",
        lambda: None,
        lambda: content_of_model(Path(ADAPTER)),
        f"{ADAPTER}/vocab.txt: its SHA-256 is {{found}}…, but {ADAPTER}/manifest.json says 000000000000…."
        + AGAIN.format(f"{ADAPTER}/manifest.json"),
    ),
    (
        "manifest of an adapter with a list of hashes",
        lambda: write_json(f"{ADAPTER}/manifest.json", {"files": []}),
        lambda: stated_hashes(Path(ADAPTER, "manifest.json")),
        f"{ADAPTER}/manifest.json: expected hashes by name as 'files' and 'fingerprints'."
        + AGAIN.format(f"{ADAPTER}/manifest.json"),
    ),
    (
        "tokens that were cut",
        lambda: cut(TOKENS),
        lambda: read_tokens([TOKENS], {"id0"}),
        f"{TOKENS}: no tokenised data set can be read from it (Parquet magic bytes not found in footer. Either the file is "
        "corrupted or this is not a parquet file.)." + AGAIN.format(TOKENS),
    ),
    (
        "tokens that were emptied",
        lambda: Path(TOKENS).write_bytes(b""),
        lambda: read_tokens([TOKENS], {"id0"}),
        f"{TOKENS}: no tokenised data set can be read from it (Parquet file size is 0 bytes)." + AGAIN.format(TOKENS),
    ),
    (
        "tokens with a flipped bit",
        lambda: flip(TOKENS, Path(TOKENS).stat().st_size // 4),
        lambda: read_tokens([TOKENS], {"id0"}),
        f"{TOKENS}: no tokenised data set can be read from it (could not verify page integrity, CRC checksum verification failed "
        "for page_ordinal 0)." + AGAIN.format(TOKENS),
    ),
    (
        "tokens without a column",
        lambda: pq.write_table(pq.read_table(TOKENS).drop_columns(["answer_ids"]), TOKENS),
        lambda: read_tokens([TOKENS], {"id0"}),
        f"{TOKENS}: no tokenised data set can be read from it (No match for FieldRef.Name(answer_ids) in id: string split: string "
        "prompt_ids: list<element: int32> input_tokens: int32 __fragment_index: int32 __batch_index: i…)." + AGAIN.format(TOKENS),
    ),
]


@pytest.mark.parametrize(("damage", "read", "sentence"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_whoever_reads_a_damaged_result_says_which_file_it_is_and_what_to_delete(damage, read, sentence):
    damage()
    with pytest.raises(DamagedError) as caught:
        read()
    said = str(caught.value)
    if sentence and "{found}" in sentence:
        path = Path(caught.value.path)
        stated = said.partition(" says ")[2][:12]
        sentence = sentence.replace("{found}", file_sha256(path)[:12]).replace("{stated}", stated)
    assert said == sentence


def test_results_are_read_as_long_as_they_are_whole():
    tables()
    assert [len(read_records(f"{folder}/train.jsonl", Example)) for folder in (DATA, MIX)] == [4, 2]
    assert len(read_tokens([TOKENS], {"id0", "id1"})) == 2
    refuse_damaged_model(Path(ADAPTER), ["adapter_model.safetensors", "adapter_config.json"])
