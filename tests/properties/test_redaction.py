"""For any key, nothing that a job prints holds the key, in whatever spelling it came back."""

import base64
import html
import json
import subprocess
import sys
import urllib.parse
from unittest.mock import patch
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.runtime import redaction
from loragrid.runtime.job import logged
from loragrid.runtime.redaction import redacted, without_credentials

SPELLINGS = {
    "as it is": lambda key: key,
    "in an address": lambda key: quote(key),
    "in an address, every sign": lambda key: quote(key, safe=""),
    "in an address, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "in a form": lambda key: urllib.parse.quote_plus(key),
    "every byte in an address": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "in JSON": lambda key: json.dumps(key)[1:-1],
    "in JSON within JSON": lambda key: json.dumps(json.dumps(key))[1:-1],
    "in JSON, every character": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "in JSON with slashes": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "in Python": lambda key: repr(key)[1:-1],
    "in HTML": html.escape,
    "in HTML, every character": lambda key: "".join(f"&#{ord(char)};" for char in key),
    "backwards": lambda key: key[::-1],
    "in capitals": str.upper,
    "in hexadecimal digits": lambda key: key.encode().hex(),
    "in base64": lambda key: base64.b64encode(key.encode()).decode(),
    "in base64 for addresses": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "in base64 in an address": lambda key: quote(base64.b64encode(key.encode()).decode(), safe=""),
    "in a Basic header": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "in a Basic header, as the user": lambda key: base64.b64encode(f"{key}:x".encode()).decode(),
    "behind two bytes in base64": lambda key: base64.b64encode(f"ab{key}".encode()).decode(),
}


def redacted_knowing(key, text):
    """A text without a key that the configuration names."""
    with patch.object(redaction, "_registered", {key}):
        return redacted(text)


keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=80).filter(lambda key: len(set(key)) > 4)


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(key=keys)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_no_spelling_of_a_key_is_left(spelling, key):
    spelled = SPELLINGS[spelling](key)
    for text in (spelled, f"<<{spelled}>>", f"error 401: the key {spelled} is wrong ({spelled})"):
        assert spelled not in redacted_knowing(key, text)


@given(
    key=st.from_regex(r"sk-(proj-)?[A-Za-z0-9_-]{20,60}[0-9][a-z]", fullmatch=True),
    shown=st.integers(2, 6),
    mask=st.sampled_from(["…", "...", "****", "**********", "xxxxx", "•••"]),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_part_of_a_masked_key_is_left(key, shown, mask):
    for masked in (key[:shown] + mask + key[-shown:], mask + key[-shown:], key[:shown] + mask):
        left = redacted_knowing(key, f"Incorrect API key provided: {masked}. You can find it elsewhere")
        assert left == "Incorrect API key provided: …. You can find it elsewhere" or masked not in left
        assert key[-shown:] not in left.removesuffix("You can find it elsewhere").removeprefix("Incorrect API key provided: ")


@given(key=st.from_regex(r"[A-Za-z]{4}[0-9]{2}[A-Za-z0-9]{14,40}", fullmatch=True), data=st.data())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_long_piece_of_a_long_key_is_left(key, data):
    start = data.draw(st.integers(0, len(key) - 8))
    piece = key[start : data.draw(st.integers(start + 8, len(key)))]
    assert piece not in redacted_knowing(key, f"the request ended at '{piece}")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=" /@'\"<>?#"), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_password_of_an_address_is_left(password):
    shown = redacted(f"GET http://someone:{password}@host:80/simple failed")
    assert shown == "GET http://…@host:80/simple failed"
    assert without_credentials(f"https://someone:{password}@host/v1?api_key={password}") == "https://…@host/v1"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_what_is_redacted_stays_as_it_is(text):
    once = redacted(text)
    assert redacted(once) == once


def test_usual_lines_of_a_log_are_left_alone():
    for line in (
        "12:03:44 done after 3.1 s",
        "epoch 1: 100%|██████████| 5/5 [00:00<00:00, 12.1it/s]",
        "**bold** and ... dots, x*y, a**b",
        "Basic configuration, bearer of news, max_tokens=512, token_ids=[1, 2]",
        "see https://huggingface.co/docs?page=2 and results/models/m/config.json",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "sk-learn-compatible-estimators; task-1/auto; key=value",
    ):
        assert redacted(line) == line


def test_nothing_that_a_job_or_its_subprocesses_print_holds_a_key(tmp_path, monkeypatch, capsys):
    key, path = "sk-proj-4f9a8c7b6d5e/3f2a+1b0c=9d8e", tmp_path / "job.log"
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(SystemExit), logged(str(path)):
        for spelling in SPELLINGS.values():
            print("printed", spelling(key))
            subprocess.run(
                [sys.executable, "-c", "import sys; sys.stderr.write(sys.argv[1] + chr(10))", spelling(key)],
                stderr=sys.stderr,
                check=True,
            )
        raise ValueError(f"no entry for {key}")
    said = capsys.readouterr().err
    for spelling in SPELLINGS.values():
        assert spelling(key) not in path.read_text()
        assert spelling(key) not in said
    assert path.read_text().count("printed …") >= len(SPELLINGS) - 2
    assert "ValueError: no entry for …" in said
