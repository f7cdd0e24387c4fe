from loragrid.runtime.journal import append_to_journal, read_journal


def test_entries_are_found_by_key_and_the_last_one_counts(tmp_path):
    journal = tmp_path / "state" / "a.jsonl"
    assert read_journal(journal) == {}
    append_to_journal(journal, {"a": {"text": "one\ntwo é"}, "b": 1})
    append_to_journal(journal, {"b": 2})
    assert read_journal(journal) == {"a": {"text": "one\ntwo é"}, "b": 2}


def test_line_torn_anywhere_is_ignored_and_the_next_one_is_not_lost(tmp_path):
    journal = tmp_path / "a.jsonl"
    append_to_journal(journal, {"a": 1})
    append_to_journal(journal, {"b": "é"})
    whole = journal.read_bytes()
    for end in range(whole.index(b"\n") + 1, len(whole)):
        journal.write_bytes(whole[:end])
        assert read_journal(journal) == {"a": 1}
        append_to_journal(journal, {"c": 3})
        assert read_journal(journal) == {"a": 1, "c": 3}


def test_line_that_another_job_left_torn_does_not_break_the_next_one(tmp_path):
    journal = tmp_path / "a.jsonl"
    append_to_journal(journal, {"a": 1})
    with open(journal, "ab") as file:
        file.write(b'{"b": {"x')
    append_to_journal(journal, {"c": 3})
    assert read_journal(journal) == {"a": 1, "c": 3}
    journal.write_bytes(b'{"b')
    append_to_journal(journal, {"c": 3})
    assert read_journal(journal) == {"c": 3}
