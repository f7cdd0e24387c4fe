import hashlib
import os
import re
from pathlib import Path

import pytest

from loragrid.runtime import files
from loragrid.runtime.files import file_sha256, fingerprint, folder_written_whole, tree_sha256, write_json, written_whole


def test_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with written_whole(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_two_writers_of_a_file_do_not_touch_what_the_other_writes(tmp_path):
    path = tmp_path / ("long-" * 48 + "name.txt")
    with written_whole(path) as one:
        one.write_text("one")
        with pytest.raises(RuntimeError), written_whole(path) as failing:
            failing.write_text("failing")
            raise RuntimeError
        with written_whole(path) as other:
            other.write_text("other")
        assert path.read_text() == "other"
        assert one.read_text() == "one"
    assert path.read_text() == "one"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_failed_write_leaves_the_old_file_as_it_was(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert (tmp_path / "a.json").read_text() == '{\n  "old": 1\n}\n'


def test_folder_is_filled_only_when_all_of_it_is_there(tmp_path):
    folder = tmp_path / "adapter"
    with pytest.raises(RuntimeError), folder_written_whole(folder) as temporary:
        (temporary / "a").write_text("a")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with folder_written_whole(folder) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a").write_text("a")
    assert (folder / "sub" / "a").read_text() == "a"
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_hash_of_a_folder_is_that_of_its_sorted_listing(tmp_path):
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    listing = f"{hashlib.sha256(b'1').hexdigest()}  a\n{hashlib.sha256(b'2').hexdigest()}  b\n"
    assert tree_sha256(tmp_path) == hashlib.sha256(listing.encode()).hexdigest()
    assert tree_sha256(tmp_path / "a") == hashlib.sha256(b"1").hexdigest()


def test_fingerprint_ignores_the_order_of_keys_and_nothing_else():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"b": [1, 2]}) != fingerprint({"b": [2, 1]})


def test_file_is_on_the_disk_before_it_gets_its_name_and_its_folder_behind_it(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr("os.fsync", lambda number: done.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    replace = os.replace
    monkeypatch.setattr("os.replace", lambda old, new: done.append(f"rename to {new}") or replace(old, new))
    write_json(tmp_path / "a.json", {})
    temporary, *rest = done
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/\.[^/]+\.partial", temporary)
    assert rest == [f"rename to {tmp_path}/a.json", str(tmp_path)]
    done.clear()
    with folder_written_whole(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("w")
        (temporary / "more").mkdir()
        (temporary / "more" / "tokens").write_text("t")
    partial = f"{tmp_path}/.model.partial"
    renamed = done.index(f"rename to {tmp_path}/model/more")
    assert set(done[:renamed]) == {f"{partial}/weights", f"{partial}/more/tokens", f"{partial}/more", partial}
    assert done[-2:] == [f"{tmp_path}/model", str(tmp_path)]


def test_large_file_is_read_once_and_again_when_it_has_changed(tmp_path, monkeypatch):
    path, read = tmp_path / "weights", []
    digest = hashlib.file_digest
    monkeypatch.setattr(files.hashlib, "file_digest", lambda *given: read.append(1) or digest(*given))
    path.write_bytes(bytes(files._LARGE))
    first = file_sha256(path)
    assert file_sha256(path) == first == hashlib.sha256(bytes(files._LARGE)).hexdigest()
    assert len(read) == 1
    with open(path, "r+b") as file:
        file.write(b"1")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 1))
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest() != first
