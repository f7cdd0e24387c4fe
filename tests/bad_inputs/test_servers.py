"""What servers and their addresses do wrong, and the one sentence that each fault must give."""

import json
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from urllib.parse import quote

import pytest

from loragrid.data.render import Request, render_conversation
from loragrid.errors import UserError
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.engines.openai import OpenAiEngine
from loragrid.inference.protocol import Decoding, generate
from servers import free_port

KEY = "sk-proj-4f9a8c7b6d5e/3f2a+1b0c=9d8e"
IT = "models.m.engine: the server in OPENAI_BASE_URL"


def ask(monkeypatch, address, **settings):
    """Ask a server one question, once."""
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    engine = OpenAiEngine.model_validate({"type": "openai", "api": "chat", "retries": 0, "timeout_s": 60} | settings)
    with engine.open(ModelToAsk(name="m", job="a job")) as opened:
        return generate(opened.answer, [render_conversation(None, Request("Say hello.", ""))], Decoding(max_new_tokens=8), None)


def said(monkeypatch, address, **settings):
    with pytest.raises(UserError) as caught:
        ask(monkeypatch, address, **settings)
    return str(caught.value).removesuffix(" It was asked 1 times.")


@pytest.fixture
def serving():
    """Serve one reply to whatever is asked: status, headers and parts of the body."""
    servers = []

    def serve(status, headers, parts, pause_s=0.0):
        stopped = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value.replace("HERE", f"http://127.0.0.1:{self.server.server_port}"))
                self.end_headers()
                with suppress(OSError):
                    for part in parts:
                        self.wfile.write(part)
                        if stopped.wait(pause_s):
                            return

            do_GET = do_POST  # noqa: N815 - the library calls it so

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append((server, stopped))
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield serve
    for server, stopped in servers:
        stopped.set()
        server.shutdown()
        server.server_close()


JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html"}
PAGE = b"<!DOCTYPE html><html><body>Log in</body></html>"
GOOD = {"choices": [{"message": {"content": "hello"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


def refused(message):
    return json.dumps({"error": {"message": message}}).encode()


REPLIES = {
    "a web page": (
        200,
        HTML,
        [PAGE],
        f"{IT} sent a reply that cannot be read (it is a web page instead of JSON: does the address end in /v1?).",
    ),
    "a web page that says that it is JSON": (
        200,
        JSON,
        [PAGE],
        f"{IT} sent a reply that cannot be read (Expecting value: line 1 column 1 (char 0)).",
    ),
    "plain text": (
        200,
        {"content-type": "text/plain"},
        [b"hello"],
        f"{IT} sent a reply that cannot be read (the reply is not a JSON object).",
    ),
    "a stream": (
        200,
        {"content-type": "text/event-stream"},
        [b'data: {"choices": []}\n\n'],
        f"{IT} sent a reply that cannot be read (it is a stream: leave `stream` out of the settings).",
    ),
    "a list": (200, JSON, [b"[]"], f"{IT} sent a reply that cannot be read (the reply is not a JSON object)."),
    "nothing": (200, JSON, [b""], f"{IT} sent a reply that cannot be read (Expecting value: line 1 column 1 (char 0))."),
    "half an object": (
        200,
        JSON,
        [b'{"choices": ['],
        f"{IT} sent a reply that cannot be read (Expecting value: line 1 column 14 (char 13)).",
    ),
    "nested without end": (
        200,
        JSON,
        [b"[" * 200_000],
        f"{IT} sent a reply that cannot be read (maximum recursion depth exceeded",
    ),
    "other bytes": (
        200,
        JSON,
        [b'"\xff\xfe"'],
        f"{IT} sent a reply that cannot be read ('utf-8' codec can't decode byte 0xff in position 1: invalid start byte).",
    ),
    "no choices": (
        200,
        JSON,
        [json.dumps(GOOD | {"choices": []}).encode()],
        f"{IT} sent a reply that cannot be read (the reply lacks an answer",
    ),
    "choices that are none": (
        200,
        JSON,
        [json.dumps(GOOD | {"choices": None}).encode()],
        f"{IT} sent a reply that cannot be read (the reply lacks an answer",
    ),
    "an answer that is a number": (
        200,
        JSON,
        [json.dumps(GOOD | {"choices": [{"message": {"content": 7}}]}).encode()],
        f"{IT} sent a reply that cannot be read (the reply's content is no text).",
    ),
    "too short for its length": (
        200,
        JSON | {"content-length": "1000"},
        [b"{}"],
        f"{IT} closed the connection without a whole reply.",
    ),
    "no model of that name": (
        404,
        JSON,
        [refused("The model `m` does not exist.")],
        f"{IT} answered 404: The model `m` does not exist. Does the address end in /v1?",
    ),
    "a page for another address": (404, HTML, [PAGE], f"{IT} answered 404: it sent a web page. Does the address end in /v1?"),
    "a page of a gateway": (
        502,
        HTML,
        [PAGE],
        f"{IT} answered 502: it sent a web page. Is this the address of the API itself? It usually ends in /v1.",
    ),
    "another key": (401, JSON, [refused("no")], f"{IT} refuses the key in OPENAI_API_KEY (401)."),
    "another project's key": (403, JSON, [refused("no")], f"{IT} refuses the key in OPENAI_API_KEY (403)."),
    "an overlong message": (400, JSON, [refused("x " * 10_000)], f"{IT} answered 400: x x x x x"),
    "redirects without end": (
        307,
        {"location": "HERE/v1/again"},
        [],
        f"{IT} sends requests from one address to the next without end; correct OPENAI_BASE_URL.",
    ),
    "another address, without saying which": (
        301,
        HTML,
        [PAGE],
        f"{IT} answered 301: it sent a web page. Is this the address of the API itself? It usually ends in /v1.",
    ),
}


@pytest.mark.parametrize("name", REPLIES)
def test_reply_that_is_none_gives_its_sentence(name, serving, monkeypatch):
    status, headers, parts, sentence = REPLIES[name]
    found = said(monkeypatch, serving(status, headers, parts))
    assert found.startswith(sentence) if not sentence.endswith((".", "?")) else found == sentence
    assert len(found) < 600


def test_reply_that_never_ends_is_given_up_by_time_and_by_size(serving, monkeypatch):
    late = f"{IT} did not answer within 1 s (models.m.engine.timeout_s)."
    assert said(monkeypatch, serving(200, JSON, repeat(b" "), pause_s=0.05), timeout_s=1) == late
    assert said(monkeypatch, serving(200, JSON, [b"{", b"}"], pause_s=60), timeout_s=1) == late
    huge = f"{IT} sent a reply of more than 64 MiB; no answer is so long."
    assert said(monkeypatch, serving(200, JSON, repeat(b" " * (1 << 20)))) == huge


NO_ADDRESSES = {
    "nothing": (
        "",
        "models.m.engine: the environment variable OPENAI_BASE_URL must hold the server's address, http://… or https://…",
    ),
    "no scheme": (
        "127.0.0.1:8000/v1",
        "models.m.engine: the environment variable OPENAI_BASE_URL must hold the server's address, http://… or https://…",
    ),
    "a port that is none": (
        "http://127.0.0.1:http/v1",
        "models.m.engine: the environment variable OPENAI_BASE_URL holds no address that can be asked (Invalid port: 'http'); expected one such as http://127.0.0.1:8000/v1",
    ),
    "no machine of that name": (
        "http://no-such-machine.invalid/v1",
        f"{IT} cannot be reached: nobody knows a machine of that name; see OPENAI_BASE_URL.",
    ),
    "a port that nobody listens at": (
        "CLOSED",
        f"{IT} cannot be reached: nothing listens there. Does it run, and is the port in OPENAI_BASE_URL its own?",
    ),
    "https for a server that has none": ("PLAIN", f"{IT} does not speak TLS there; should OPENAI_BASE_URL begin with http://?"),
    "a certificate of nobody": (
        "SELF-SIGNED",
        f"{IT} has a certificate that this machine does not trust; name the certificate's authority in SSL_CERT_FILE, or correct OPENAI_BASE_URL.",
    ),
}


@pytest.mark.parametrize("name", NO_ADDRESSES)
def test_address_that_leads_nowhere_gives_its_sentence(name, serving, monkeypatch, tmp_path):
    address, sentence = NO_ADDRESSES[name]
    if address == "CLOSED":
        address = f"http://127.0.0.1:{free_port()}/v1"
    elif address == "PLAIN":
        address = serving(200, JSON, [b"{}"]).replace("http:", "https:")
    elif address == "SELF-SIGNED":
        address = self_signed(tmp_path)
    assert said(monkeypatch, address) == sentence


def self_signed(folder):
    """The address of a server whose certificate is signed by itself."""
    certificate = [str(folder / name) for name in ("cert.pem", "key.pem")]
    names = ["-out", certificate[0], "-keyout", certificate[1], "-subj", "/CN=127.0.0.1", "-days", "1"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        # The client hangs up as soon as it has seen the certificate.
        with suppress(OSError), listening:
            context.wrap_socket(listening.accept()[0], server_side=True)

    threading.Thread(target=serve, daemon=True).start()
    return f"https://127.0.0.1:{listening.getsockname()[1]}/v1"


PROXIES = {
    "socks without its package": (
        "ALL_PROXY",
        "socks5://10.0.0.1:1080",
        "models.m.engine: the environment variable ALL_PROXY names a SOCKS proxy, which needs another package: .venv/bin/python -m pip install socksio; or unset the variable, or name the server in NO_PROXY.",
    ),
    "socks for https": (
        "HTTPS_PROXY",
        "socks5h://bob:pw1234567@10.0.0.1",
        "models.m.engine: the environment variable HTTPS_PROXY names a SOCKS proxy, which needs another package: .venv/bin/python -m pip install socksio; or unset the variable, or name the server in NO_PROXY.",
    ),
    "a proxy of no known kind": (
        "ALL_PROXY",
        "ftp://bob:pw1234567@10.0.0.1",
        "models.m.engine: the environment variable ALL_PROXY names a proxy of a kind that is not known; expected http://…, https://… or socks5://…, or nothing.",
    ),
}


@pytest.mark.parametrize("name", PROXIES)
def test_proxy_that_cannot_be_used_gives_its_sentence(name, monkeypatch):
    variable, value, sentence = PROXIES[name]
    monkeypatch.setenv(variable, value)
    assert said(monkeypatch, "http://127.0.0.1:9/v1") == sentence


def test_server_that_is_sound_is_answered_for(serving, monkeypatch):
    [[answer]] = ask(monkeypatch, serving(200, JSON, [json.dumps(GOOD).encode()]))
    assert answer.text == "hello"


def test_key_that_a_server_quotes_in_its_answer_is_cut_out(serving, monkeypatch):
    spelled = [KEY, KEY[:20], quote(KEY, safe=""), b64encode(f"Bearer {KEY}".encode()).decode(), KEY[::-1]]
    said = f"sk-1234567890abcdef at http://me:pw@host: {' '.join(spelled)}! {KEY[:9]}"
    reply = GOOD | {"choices": [{"message": {"content": said}}]}
    [[answer]] = ask(monkeypatch, serving(200, JSON, [json.dumps(reply).encode()]))
    # What only looks like a key is the model's answer.
    assert answer.text == "sk-1234567890abcdef at http://me:pw@host: … … … … …! sk-proj-4"


def test_short_word_that_is_given_as_a_key_stays_in_answers(serving, monkeypatch):
    monkeypatch.setattr(f"{__name__}.KEY", "whatever")
    reply = GOOD | {"choices": [{"message": {"content": "Whatever."}}], "extra": [[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]}
    [[answer]] = ask(monkeypatch, serving(200, JSON, [json.dumps(reply).encode()]))
    assert answer.text == "Whatever."
