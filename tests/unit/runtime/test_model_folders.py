import tarfile

import pytest

from loragrid.runtime.model_folders import OTHER_FILES, archive_others, whole_folder


@pytest.fixture
def stored(tmp_path):
    """A model as a storage hands it out: the files that rules name, and the archive of the others."""
    folder = tmp_path / "stored" / "tiny"
    (folder / "1_Pooling").mkdir(parents=True)
    texts = {"model.safetensors": "weights", "config.json": "{}", "chat_template.jinja": "hello", "1_Pooling/config.json": "mean"}
    for name, text in texts.items():
        (folder / name).write_text(text)
    archive_others(folder, ["model.safetensors", "config.json", OTHER_FILES])
    (folder / "chat_template.jinja").unlink()
    (folder / "1_Pooling" / "config.json").unlink()
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_model_from_a_storage_has_all_its_files_under_its_own_name(stored):
    whole = whole_folder(stored / "config.json")
    assert whole.name == "tiny"
    assert contents(whole) == {
        "model.safetensors": "weights",
        "config.json": "{}",
        "chat_template.jinja": "hello",
        "1_Pooling/config.json": "mean",
    }


def test_archive_is_unpacked_once_in_a_process_and_again_when_it_is_another(stored):
    first = whole_folder(stored / "config.json")
    assert whole_folder(stored / "model.safetensors") == first
    (stored / "merges.txt").write_text("a b")
    archive_others(stored, ["model.safetensors", "config.json", OTHER_FILES])
    (stored / "merges.txt").unlink()
    assert whole_folder(stored / "config.json") != first
    assert contents(whole_folder(stored / "config.json"))["merges.txt"] == "a b"


def test_copies_that_jobs_share_are_left_as_they_are(stored):
    before = sorted(stored.rglob("*"))
    whole_folder(stored / "config.json")
    assert sorted(stored.rglob("*")) == before


def test_model_without_an_archive_is_used_where_it_is(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert whole_folder(tmp_path / "config.json") == tmp_path


def test_same_files_make_the_same_archive(stored, tmp_path):
    folder = tmp_path / "later" / "tiny"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text("mean")
    (folder / "chat_template.jinja").write_text("hello")
    (folder / "chat_template.jinja").chmod(0o600)
    archive_others(folder, [])
    assert (folder / OTHER_FILES).read_bytes() == (stored / OTHER_FILES).read_bytes()


def test_archive_that_reaches_outside_its_folder_is_not_unpacked(stored, tmp_path):
    with tarfile.open(stored / OTHER_FILES, "w") as archive:
        archive.addfile(tarfile.TarInfo("../../escaped"))
    with pytest.raises(tarfile.OutsideDestinationError):
        whole_folder(stored / "config.json")
