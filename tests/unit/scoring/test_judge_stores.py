import logging
import re

import pytest

from loragrid.scoring.judge_stores import server_id, server_of, store_of_server

HOSTED, LOCAL = "https://judges.example/v1", "http://localhost:8000/v1"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "judgements" / "abc.jsonl"


def write(path):
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"k": 1}\n')
    return path


def test_same_judge_on_another_server_has_a_store_of_its_own(store, caplog):
    own, other = (store_of_server(store, server_id(address)) for address in (HOSTED, LOCAL))
    assert own != other
    write(own)
    with caplog.at_level(logging.INFO):
        assert not store_of_server(store, server_id(LOCAL)).exists()
    assert "another server has been asked before" in caplog.text
    assert store_of_server(store, server_id(HOSTED)) == own


def test_judgements_that_do_not_say_whose_they_are_become_those_of_the_server_that_is_asked_first(store):
    write(store)
    own = store_of_server(store, server_id(HOSTED))
    assert own.read_text() == '{"k": 1}\n'
    assert not store.exists()
    assert not store_of_server(store, server_id(LOCAL)).exists()


def test_without_a_server_the_only_judgements_are_taken(store):
    assert store_of_server(store, None) == store
    own = write(store_of_server(store, server_id(HOSTED)))
    assert store_of_server(store, None) == own
    write(store_of_server(store, server_id(LOCAL)))
    assert not store_of_server(store, None).exists()


def test_server_is_known_by_its_address_or_by_a_name(monkeypatch):
    monkeypatch.setenv("JUDGE_URL", HOSTED)
    assert server_of("JUDGE_URL", None) == server_id(HOSTED)
    assert server_of("JUDGE_URL", "ours") == "ours"
    monkeypatch.delenv("JUDGE_URL")
    assert server_of("JUDGE_URL", None) is None


def test_spelling_of_an_address_and_passwords_in_it_make_no_other_server():
    assert server_id("https://judges.example/v1/ ") == server_id("https://me:secret@Judges.example/v1") == server_id(HOSTED)
    assert server_id(LOCAL) != server_id(LOCAL.replace("8000", "8001"))
    assert re.fullmatch("[0-9a-f]{12}", server_id(HOSTED))
