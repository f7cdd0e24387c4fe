"""Configurations that cannot be, each with the sentence that says so: as files, as values, and behind Snakemake's options."""

import copy
from pathlib import Path

import pytest
import yaml

from loragrid.config.given import check_given
from loragrid.config.load import parse_config
from loragrid.config.spelling import check_files
from loragrid.errors import UserError
from loragrid.grid.impossible_jobs import impossible_jobs
from loragrid.grid.runs import Grid

DEFAULT = Path(__file__).parents[2] / "config" / "config.yaml"
NO_YAML = "not valid YAML"
A_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a:\n\tb: c\n", f", line 2, column 1: {NO_YAML} (found character that cannot start any token); indent with spaces, not with a tab."),
        ("a:\n  b: 1\n \tc: 2\n", f", line 3, column 2: {NO_YAML} (found a tab character that violates indentation); indent with spaces, not with a tab."),
        ("a:\n  rank:8\n  b: 1\n", f", line 2, column 7: {NO_YAML} (mapping values are not allowed in this context); a space is missing behind the colon of 'rank:8'."),
        ("a:\n  b: 1\n  rank:8\n", f", line 3, column 7: {NO_YAML} (could not find expected ':'); a space is missing behind the colon of 'rank:8'."),
        ("a: {rank:8, b: 1}\n", ", line 1, column 5: a space is missing behind the colon; write rank: 8."),
        ("a:\n  - b\n  -c\n", f", line 3, column 3: {NO_YAML} (could not find expected ':'); a space is missing behind the dash of '-c'."),
        ("a:\n  b: 1\n  c 2\n  d: 3\n", f", line 3, column 3: {NO_YAML} (could not find expected ':'); the colon of 'key: value' is missing in 'c 2'."),
        ("a: Note: d\n", f", line 1, column 8: {NO_YAML} (mapping values are not allowed in this context); text with ': ' in it needs quotes."),
        ("a: Answer question #3\n", ", line 1, column 4: YAML takes #3 and what follows for a comment; put the text in quotes. A comment has a space behind its sign."),
        ("a: @b\n", f", line 1, column 4: {NO_YAML} (found character that cannot start any token); text that begins with @ needs quotes."),
        ("a: %b\n", f", line 1, column 4: {NO_YAML} (found character that cannot start any token); text that begins with % needs quotes."),
        ("a: **bold**\n", f", line 1, column 4: {NO_YAML} (did not find expected alphabetic or numeric character); text that begins with * needs quotes."),
        ("a: &b\n", ", line 1, column 4: YAML takes &b for a mark of what follows, and nothing does; text that begins with & needs quotes."),
        ("a: ! text\n", ", line 1, column 4: YAML leaves out the sign ! here; text that begins with ! needs quotes."),
        ("a: | text\n", f", line 1, column 4: {NO_YAML} (did not find expected comment or line break); text that begins with | needs quotes; a block of text begins on the next line."),
        ("a: {{ word }} {{ b }}\n", f", line 1, column 4: {NO_YAML} (did not find expected key); a template needs quotes around it: '{{{{ word }}}} {{{{ b }}}}'."),
        ("a: {{ row['x y'] }}\n", f", line 1, column 4: {NO_YAML} (did not find expected ',' or '}}'); a template needs quotes around it: \"{{{{ row['x y'] }}}}\"."),
        ("a: {% if x %}b{% endif %}\n", f", line 1, column 4: {NO_YAML} (found character that cannot start any token); a template needs quotes around it: '{{% if x %}}b{{% endif %}}'."),
        ('a: "{{ row["x"] }}"\n', f", line 1, column 13: {NO_YAML} (did not find expected key); the text in quotes ends before column 13, and more follows; write the quotes inside of it as ', or other quotes around it."),
        ("a: [x] y\n", f", line 1, column 4: {NO_YAML} (did not find expected key); text that begins with [ needs quotes."),
        ('a: "b\nc: d\n', f", line 1, column 4: {NO_YAML} (found unexpected end of stream); the quote that opens here is never closed."),
        ("a: [b\nc: d\n", f", line 2, column 2: {NO_YAML} (did not find expected ',' or ']'); the [ in line 1, column 4 is not closed before this, or a text inside of it needs quotes."),
        ("a: {b: 1}}\n", f", line 1, column 10: {NO_YAML} (did not find expected key); this bracket closes nothing; there is one too many."),
        ('a: "\\d+"\n', f", line 1, column 5: {NO_YAML} (found unknown escape character); in double quotes a backslash is a sign of its own; use single quotes, or write \\\\."),
        ("a:\n    b: 1\n  c: 2\n", f", line 3, column 3: {NO_YAML} (did not find expected key); the line is indented as no line above it; indent keys of one mapping alike."),
        ("a:\n  b: 1\n    c: 2\n", f", line 3, column 5: {NO_YAML} (mapping values are not allowed in this context); the line is indented more than line 2, which has a value already; indent keys of one mapping alike."),
        ("a:\n  b: 1\n  - c\n", f", line 3, column 3: {NO_YAML} (did not find expected key); a list's item stands among keys; indent it below its key, or leave out the dash."),
        ("a:\n  - b\n  c: 1\n", f", line 3, column 3: {NO_YAML} (did not find expected '-' indicator); a key stands among a list's items; begin it with a dash, or indent it as its own mapping."),
        ("  a: 1\nb: 2\n", f", line 1, column 1: {NO_YAML} (did not find expected <document start>); the first key is indented, and others are not; indent keys of one mapping alike."),
        ("a: 1\n---\nb: 2\n", f", line 2, column 1: {NO_YAML} (but found another document); --- begins another document; expected one in a file."),
        ("a: !mine b\n", f", line 1, column 4: {NO_YAML} (could not determine a constructor for the tag '!mine'); text that begins with ! needs quotes."),
        ("a: !!python/object/apply:os.system [ls]\n", ", line 1, column 4: the tag tag:yaml.org,2002:python/object/apply:os.system is unknown; text that begins with ! needs quotes."),
        ("a: {<<: b}\n", ", line 1, column 9: << takes in a mapping, as in <<: *name; found 'b'."),
        ("- a\n", ": expected keys with values at the top of the file, found a list."),
        ("models\n", ": expected keys with values at the top of the file, found text."),
        ("# nothing\n", ": expected keys with values at the top of the file, found nothing."),
        ("a:\u00a0b\n", ", line 1, column 1: a no-break space (U+00A0) stands behind the colon; write a usual space."),
        ("“a”: 1\n", ", line 1, column 1: the key “a” stands in typographic quotes, which YAML takes for letters; write \" or leave them out."),
        ("a: 1\n".encode("utf-16"), ": the file is UTF-16 or UTF-32; save it as UTF-8."),
        ("b: 1\na: Stadt Zürich\n".encode("cp1252"), ", line 2, column 11: the text is not UTF-8 (as Windows-1252 it would be 'Zürich'); save it as UTF-8."),
        ("a: &x {b: [*x]}\n", ", line 1, column 12: the alias *x stands within what it stands for; expected values that end."),
        (A_BOMB, ", line 7, column 8: with its aliases replaced, the file has over 1,000,000 values; expected fewer."),
        ("a: " + "[" * 5000 + "]" * 5000 + "\n", ", line 1, column 103: more than 100 lists and mappings within each other; expected fewer."),
        ("a: " + "9" * 5000 + "\n", ", line 1, column 4: a number of 5000 digits; put it in quotes if it is text."),
    ],
)  # fmt: skip
def test_file_that_is_no_configuration(tmp_path, content, sentence):
    path = tmp_path / "c.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        check_files([path])
    assert str(caught.value) == f"{path}{sentence}"


def test_byte_order_mark_and_json_are_no_mistakes(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    (tmp_path / "b.json").write_text('{\n\t"a": [1, "x: y"]\n}')
    (tmp_path / "c.yaml").write_text("a: &x {b: 1}  #c\nd: [*x, *x] # e\nf: [text, text] #g\nh: 5 #6\ni: http://x/#y\n")
    check_files(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "report.title=x"], "--config: 'report.title' is no key of the configuration; a key inside of another is written --config 'report={title: x}'."),
        (["--config", "report={title: x"], "--config report, line 2, column 1: not valid YAML (did not find expected ',' or '}'); the { in line 1, column 1 is not closed before this, or a text inside of it needs quotes."),
        (["--config", "report={title:x}"], "--config report: a space is missing behind the colon; write title: x."),
    ],
)  # fmt: skip
def test_option_that_names_no_configuration(tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text("report: {title: Fine}\n")
    with pytest.raises(SystemExit) as caught:
        check_given(["--cores", "2", *arguments])
    assert str(caught.value) == sentence


@pytest.mark.parametrize("arguments", [["plan", "--configfile", "good.yaml"], ["--configfile", "good.yaml", "--", "plan"], ["-n", "--config", "date=2025-01-31"], ["--configfile", "pipe"]])  # fmt: skip
def test_other_options_are_left_to_snakemake(tmp_path, monkeypatch, arguments):
    import os

    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "good.yaml").write_text("report: {title: Fine}\n")
    check_given(arguments)


def put(path, value):
    """Change one value of a configuration."""
    *above, last = path

    def change(raw):
        for key in above:
            raw = raw[key] if isinstance(raw, list) else raw.setdefault(key, {})
        raw[last] = value

    return change


LORA, BLOCK, TASK = ("configs", "lora"), ("grid", 0), ("tasks", "challenge")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put((*LORA, "rank"), True), "configs.lora.rank: expected a number (yes, no, on and off mean true and false in YAML), not True."),
        (put((*LORA, "rank"), "eight"), "configs.lora.rank: input should be a valid integer, unable to parse string as an integer, not 'eight'."),
        (put((*LORA, "rank"), 10**9), "configs.lora.rank: input should be less than or equal to 65536, not 1000000000."),
        (put((*TASK, "scorers"), []), "tasks.challenge.scorers: expected at least one entry."),
        (put((*LORA, "epochs"), 1e308), "configs.lora.epochs: input should be less than or equal to 1000000, not 1e+308."),
        (put((*LORA, "epochs"), float("inf")), "configs.lora.epochs: input should be a finite number, not inf."),
        (put((*LORA, "epochs"), float("nan")), "configs.lora.epochs: input should be a finite number, not nan."),
        (put((*LORA, "learning_rate"), 0), "configs.lora.learning_rate: input should be greater than 0, not 0."),
        (put((*LORA, "learning_rate"), -1e-4), "configs.lora.learning_rate: input should be greater than 0, not -0.0001."),
        (put((*LORA, "max_steps"), 10**12), "configs.lora.max_steps: input should be less than or equal to 2147483647, not 1000000000000."),
        (put((*LORA, "schedule"), "cosin"), "configs.lora.schedule: input should be 'constant', 'linear' or 'cosine', not 'cosin'; did you mean 'cosine'?"),
        (put((*LORA, "method"), "lorra"), "configs.lora.method: 'lorra' is unknown; expected one of lora, prompt_tuning, peft, continue, full; did you mean 'lora'?"),
        (put((*LORA, "target_modules"), "(q_proj"), "configs.lora.target_modules: not a valid regular expression (missing ), unterminated subpattern at position 0), not '(q_proj'."),
        (put((*LORA, "target_modules"), []), "configs.lora.target_modules: expected at least one module."),
        (put(("configs", "lora"), "rank:8"), "configs.lora: expected a mapping of keys to values, not 'rank:8'; a space is missing behind the colon: rank: 8."),
        (put((*BLOCK, "seeds"), [2**64]), "grid[0].seeds[0]: input should be less than 18446744073709551616, not 18446744073709551616."),
        (put((*BLOCK, "seeds"), [-1]), "grid[0].seeds[0]: input should be greater than or equal to 0, not -1."),
        (put((*BLOCK, "nb_samples"), [True]), "grid[0].nb_samples[0]: expected a number (yes, no, on and off mean true and false in YAML), not True."),
        (put((*BLOCK, "seeds"), list(range(10**6))), "grid[0]: its axes make 12,000,006 predictions; expected at most 1,000,000."),
        (put((*BLOCK, "tasks"), "-challenge"), "grid[0].tasks: expected a list, not '-challenge'; a space is missing behind the dash."),
        (put((*TASK, "metric"), "rougeL"), "tasks.challenge.metric: unknown metric of this task's scorers: 'rougeL'; did you mean 'rouge/rougeL'?"),
        (put((*TASK, "metric"), ["rouge/rougeL"]), "tasks.challenge.metric: input should be a valid string."),
        (put((*TASK, "max_new_tokens"), 10**12), "tasks.challenge.max_new_tokens: input should be less than or equal to 2147483647, not 1000000000000."),
        (put((*TASK, "sample_types"), {"": {"output": "x"}}), "tasks.challenge.sample_types.: '' is not a valid name; expected letters and digits, with single '.', '_' or '-' between them."),
        (put(("decodings",), {"warm": {"temperature": 1, "samples": 10**9}}), "decodings.warm.samples: input should be less than or equal to 100000, not 1000000000."),
        (put(("sources", "aclsum", "package"), "--index-url==1"), "sources.aclsum.package: expected a package and its exact version, as in name==1.0, not '--index-url==1'."),
        (put(("hub",), {"repository": "me/{task:>1000000000}"}), "hub.repository: expected placeholders without ':' and '!', as {seed}, not 'me/{task:>1000000000}'."),
        (put(("mixes", "w"), {"recipe": "weighted", "weights": {"challenge": 1e308}, "nb_others": 3}), "mixes.w.weights.challenge: input should be less than or equal to 1000000000, not 1e+308."),
    ],
)  # fmt: skip
def test_value_that_cannot_be(change, sentence):
    raw = yaml.safe_load(DEFAULT.read_text())
    change(raw)
    with pytest.raises(UserError) as caught:
        parse_config(raw)
    assert str(caught.value) == sentence


RUN = "challenge__manual__target_only__n8__{}__completion__seed1"


def continued(raw, **adapters):
    """A grid whose trainings continue from these runs."""
    raw["configs"] = {
        name: {"method": "continue", "adapter": adapter if "/" in adapter else f"results/adapters/challenge/manual/smollm2-135m/{RUN.format(adapter)}"}
        for name, adapter in adapters.items()
    }  # fmt: skip
    raw["grid"] = [copy.deepcopy(raw["grid"][0]) | {"tasks": ["challenge"], "sample_types": ["manual"], "configs": list(adapters), "nb_samples": [8], "evaluate_on": "same"}]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (lambda raw: continued(raw, a="a"), [f"configs.a.adapter: run '{RUN.format('a')}' of 'smollm2-135m' would continue from itself."]),
        (lambda raw: continued(raw, a="b", b="a"), [
            f"configs.b.adapter: run '{RUN.format('b')}' of 'smollm2-135m' would continue from '{RUN.format('a')}' of 'smollm2-135m', which continues from it.",
            f"configs.a.adapter: run '{RUN.format('a')}' of 'smollm2-135m' would continue from '{RUN.format('b')}' of 'smollm2-135m', which continues from it.",
        ]),
        (lambda raw: continued(raw, a="./results//adapters/challenge/x"), ["configs.a.adapter: 'results/adapters/challenge/x' does not exist, and no run of the grid makes it."]),
        (put((*LORA, "target_modules"), "(a+)+"), ["configs.lora.target_modules: with '(a+)+', matching one name of a module takes forever; avoid repeated groups that repeat something themselves."]),
        (put((*LORA, "target_modules"), r"(\w+\.)+q_proj"), []),
    ],
    ids=["itself", "circle", "nobody's", "backtracking", "repeated but quick"],
)  # fmt: skip
def test_training_that_cannot_begin(change, sentences):
    raw = yaml.safe_load(DEFAULT.read_text())
    change(raw)
    assert list(impossible_jobs(Grid(parse_config(raw)))) == sentences
