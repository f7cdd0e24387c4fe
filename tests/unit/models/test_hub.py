"""Uploads, to a hub on this machine that speaks as much of the hub's protocol as they need."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loragrid.errors import UserError
from loragrid.models.hub import PushSettings, check_repository, push, stage, upload


class Hub(BaseHTTPRequestHandler):
    requests: list[tuple[str, str, bytes]] = []  # noqa: RUF012 - one hub at a time

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.requests.append((self.path, self.headers["Authorization"], body))
        if self.path.endswith("/repos/create"):
            self.answer({"url": f"{self.server.url}/owner/model", "name": "owner/model", "id": "1"})
        elif "/preupload/" in self.path:
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in json.loads(body)["files"]]
            self.answer({"files": files})
        elif "/commit/" in self.path:
            self.answer({"commitOid": "c0ffee", "commitUrl": f"{self.server.url}/owner/model/commit/c0ffee", "success": True})
        else:
            self.answer({})

    def do_GET(self):
        self.answer({"sha": "0", "id": "owner/model", "siblings": [], "author": "owner"})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "secret-token")
    Hub.requests.clear()
    yield Hub
    server.shutdown()


@pytest.fixture
def result(tmp_path):
    folder = tmp_path / "result"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "results/models/tiny", "r": 4}))
    for name in ("adapter_model.safetensors", "README.md", "loss.csv", "manifest.json"):
        (folder / name).write_text("{}" if name == "manifest.json" else name)
    return folder


def test_staged_adapter_names_its_base_model_on_the_hub_and_leaves_out_what_is_about_this_machine(result, tmp_path):
    files = stage(result, tmp_path / "staged", "owner/base")
    assert set(files) == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    settings = json.loads((tmp_path / "staged/adapter_config.json").read_text())
    assert settings == {"base_model_name_or_path": "owner/base", "r": 4}


def test_model_is_uploaded_in_one_commit(result, tmp_path, hub):
    stage(result, tmp_path / "staged", None)
    assert push(tmp_path / "staged", "owner/model", private=True) == "c0ffee"
    [created] = [json.loads(body) for path, _, body in hub.requests if path.endswith("/repos/create")]
    assert (created["name"], created["organization"], created["visibility"]) == ("model", "owner", "private")
    [commit] = [body for path, _, body in hub.requests if "/commit/" in path]
    lines = [json.loads(line) for line in commit.splitlines()]
    uploaded = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"}
    assert uploaded["adapter_model.safetensors"] == b"adapter_model.safetensors"
    assert set(uploaded) == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    assert {token for _, token, _ in hub.requests} == {"Bearer secret-token"}


def test_dry_run_lists_what_would_be_uploaded_and_where(result, hub):
    told = {"hub": {"repository": "owner/model"}, "source": {"hub": "owner/base", "revision": "1"}, "version": 1}
    receipt = upload(PushSettings.model_validate(told), result)
    assert set(receipt.pop("files")) == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    assert list(receipt.items()) == [
        ("repository", "owner/model"),
        ("merged", False),
        ("private", True),
        ("dry_run", True),
        ("commit", None),
    ]
    assert hub.requests == []


def test_upload_without_a_token_fails_with_a_sentence(result, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(UserError, match="needs a token in the environment variable HF_TOKEN"):
        push(result, "owner/model", private=True)


def test_impossible_name_of_a_repository_is_a_sentence():
    check_repository("owner/a-model_1.0")
    with pytest.raises(UserError, match=r"hub\.repository: .*owner/a--model"):
        check_repository("owner/a--model")
