"""Where the judgements of each server are kept."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from loragrid.runtime.files import fingerprint, put_in_place
from loragrid.runtime.job import log
from loragrid.runtime.locks import held


def server_id(address: str) -> str:
    """A short hash of a server's address, which tells neither the address nor a password in it."""
    parts = urlsplit(address.strip())
    return fingerprint([parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower(), parts.path.rstrip("/")])[:12]


def server_of(base_url_variable: str, name: str | None) -> str | None:
    """What tells a server from others: the name that the user gave it, else its address. None if the environment does not say it.

    Args:
        base_url_variable: the environment variable with the address.
    """
    address = os.environ.get(base_url_variable, "")
    return name or (server_id(address) if address.strip() else None)


def store_of_server(store: Path, server: str | None) -> Path:
    """The journal of one server's judgements.

    The same judge on another server is another judge. A journal that does not say whose it is comes from a time when stores did
    not know the server: it becomes that of the server that is asked first.

    Args:
        store: the journal of a judge, whatever its server.
        server: as `server_of` gives it. None takes the only journal that there is.
    """
    others = sorted(path for path in store.parent.glob(f"{store.stem}-*.jsonl") if path.suffix == ".jsonl")
    if server is None:
        known = [path for path in (store, *others) if path.exists()]
        return known[0] if len(known) == 1 else store
    own = store.with_name(f"{store.stem}-{server}.jsonl")
    if store.exists() and not others:
        with held(store.with_suffix(".lock"), partial(log.info, "waiting for a job that asks the same judge")):
            if store.exists():
                put_in_place(store, own)
                log.info("the judgements so far are taken for those of the server that is asked now")
    elif others and own not in others:
        log.info("the same judge on another server has been asked before; its judgements are not used for this server")
    return own
