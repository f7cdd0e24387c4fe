"""Files of packages, found where the user's pip would look for them. Nothing is built, installed or run.

Addresses may hold credentials. What is logged or raised names only their hosts.
"""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from loragrid.errors import UserError
from loragrid.runtime.job import log

if TYPE_CHECKING:
    from packaging.version import Version
    from unearth import Link, Package, PackageFinder
    from unearth.fetchers.sync import PyPIClient

OPTIONS = (
    *("index_url", "extra_index_urls", "no_index", "find_links", "trusted_hosts"),
    *("cert", "client_cert", "proxy", "timeout", "retries", "keyring_provider"),
)
"""Options of `pip download`, as pip names them."""


# Pip itself puts together its configuration files and environment variables. Nothing else knows their order for every version.
ASK_PIP = """
import json, sys
from pip._internal.commands import create_command
options, _ = create_command("download").parse_args([])
print(json.dumps({name: getattr(options, name, None) for name in sys.argv[1:]}))
"""


HASHES = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5")
"""Hashes that an index may give, the best first."""


ADDRESS = re.compile(
    r"\b((?!file:)[a-z][a-z0-9+.-]*://)(?:[^/\s'\"]*@)?([^/\s'\"?#@]+)(?:[/?#][^\s'\"]*?)?(?=[:.,;)]?(?:[\s'\"]|$))",
    re.IGNORECASE,
)
"""An address that is no file, with its host."""


FIRST_PAUSE_S = 0.25
"""Seconds before a request is sent again; doubled each time, as pip does."""


Result = TypeVar("Result")


class Places(NamedTuple):
    """Where packages may come from."""

    folders_and_pages: list[str]
    """Folders and pages with links to files."""
    indexes: list[str]


def without_secrets(text: str) -> str:
    """A text whose addresses name only their hosts: names, passwords and tokens may stand before and behind these."""
    return ADDRESS.sub(r"\1\2", text)


def pip_settings() -> Mapping[str, Any]:
    """What pip's configuration files and environment variables say, by the names in `OPTIONS`.

    Raises:
        UserError: if pip is missing, or cannot read its own configuration.
    """
    asked = subprocess.run([sys.executable, "-c", ASK_PIP, *OPTIONS], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if asked.returncode:
        said = [line.strip() for line in (asked.stdout + asked.stderr).splitlines() if line.strip()] or ["no reason given"]
        raise UserError(
            f"pip's settings, which say where packages come from, could not be read: {without_secrets(said[-1]).rstrip('.')}."
        )
    settings: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    return settings


def places(settings: Mapping[str, Any]) -> Places:
    """The places that pip's settings name. Those on this machine come first, so that what is there needs no network."""
    links = [_address(link) for link in settings["find_links"] or []]
    indexes = [] if settings["no_index"] else [settings["index_url"], *settings["extra_index_urls"]]
    return Places([link for link in links if link], [address for index in indexes if index and (address := _address(index))])


def _address(place: str) -> str | None:
    """The URL of a place, which may be a path; None if there is nothing at this path, which pip ignores too."""
    if re.match(r"[a-z][a-z0-9+.-]*:", place, re.IGNORECASE):
        return place
    path = Path(place).expanduser()
    if not path.exists():
        log.info("pip's settings name '%s', which does not exist", place)
        return None
    return path.absolute().as_uri()


class Found(NamedTuple):
    """A file of a package."""

    finder: PackageFinder
    package: Package

    @property
    def link(self) -> Link:
        """Where it is."""
        return self.package.link


def download_file(package: str, kind: str, folder: Path) -> Path:
    """Bring the file of `name==version` to this machine.

    Of several wheels, the one for every platform is taken, so that all machines read the same file; else the one that pip would
    install here; else the first by its name: none is ever installed. A withdrawn version is taken too, as pip does where it is
    asked for by number. The hash that the index gives is checked.

    Args:
        kind: how the file's name ends: `whl` or `tar.gz`.
        folder: for the download.

    Returns:
        The file. If it was on this machine before, it is not in the folder.

    Raises:
        UserError: naming the package and what there is instead, or what went wrong.
    """
    failed = f"package '{package}' could not be downloaded"
    try:
        settings = pip_settings()
        found = _find(package, kind, settings)
        return _downloaded(found, settings["retries"], folder)
    except UserError as error:
        raise UserError(f"{failed}: {error}") from None


def _find(package: str, kind: str, settings: Mapping[str, Any]) -> Found:
    where = places(settings)
    if not any(where):
        raise UserError("pip's settings name no place with packages (no-index).")
    troubles: list[str] = []
    others: list[Found] = []
    for option, place in _in_order(where):
        found = _files_at(option, place, package, settings, where.indexes, troubles)
        if right := [one for one in found if _is_version(package, one) and one.link.filename.endswith(f".{kind}")]:
            best = _best(right)
            log.info("%s of %s", best.link.filename, named(place))
            if best.link.is_yanked:
                reason = f": {best.link.yank_reason}" if best.link.yank_reason else ""
                log.info("package '%s' was withdrawn by its authors%s", package, reason)
            return best
        others += found
    raise UserError(f"{_why_not(package, kind, others, list(dict.fromkeys(troubles)))}.")


def _in_order(where: Places) -> list[tuple[str, str]]:
    """The places with the argument of `PackageFinder` that they are for: files before networks, else in pip's order."""
    links, indexes = where
    named_by = [*(("find_links", link) for link in links), *(("index_urls", index) for index in indexes)]
    return sorted(named_by, key=lambda one: not _is_local(one[1]))


def _is_local(place: str) -> bool:
    return place.startswith("file:")


def _files_at(
    option: str, place: str, package: str, settings: Mapping[str, Any], indexes: list[str], troubles: list[str]
) -> list[Found]:
    """All files of a package that a place has, of any version, for any platform and Python.

    An index that fails must not hide the files that another has: what went wrong is added to the troubles.
    """
    from unearth import PackageFinder

    found: list[Found] = []
    with _heard() as warnings:
        try:
            session = _session(settings, indexes, uses_network=not _is_local(place))
            finder = PackageFinder(session, **{option: [place]}, ignore_compatibility=True)  # type: ignore[arg-type]
            name = package.partition("==")[0]
            packages = _retried(lambda: list(finder.find_all_packages(name, allow_yanked=True)), settings["retries"])
            found = [Found(finder, one) for one in packages]
        except Exception as error:
            troubles.append(f"{named(place)} failed: {_in_words(error)}")
    # An index says 404 of a package that it does not have.
    troubles += [without_secrets(warning) for warning in warnings if "Error(404)" not in warning]
    return found


def _session(settings: Mapping[str, Any], indexes: list[str], uses_network: bool) -> PyPIClient:
    import unearth.auth
    from httpx2 import HTTPTransport
    from unearth.fetchers.sync import PyPIClient

    unearth.auth.KEYRING_DISABLED = settings["keyring_provider"] == "disabled"
    authorities = settings["cert"] or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    verify: ssl.SSLContext | bool = uses_network
    if uses_network and authorities:
        is_folder = Path(authorities).is_dir()
        verify = ssl.create_default_context(cafile=None if is_folder else authorities, capath=authorities if is_folder else None)
    proxy = settings["proxy"] or None if uses_network else None
    trusted = settings["trusted_hosts"] or ()
    # The client would go to trusted hosts without a proxy.
    by_proxy = {f"all://{host}": HTTPTransport(verify=False, proxy=proxy) for host in trusted if proxy}
    return PyPIClient(
        trusted_hosts=trusted,
        mounts=by_proxy,
        verify=verify,
        cert=settings["client_cert"] if uses_network else None,
        proxy=proxy,
        trust_env=uses_network,
        timeout=settings["timeout"],
        follow_redirects=True,
        auth=unearth.auth.MultiDomainBasicAuth(prompting=False, index_urls=indexes),
    )


@contextmanager
def _heard() -> Iterator[list[str]]:
    """The warnings of unearth in the block. They are not printed: they may hold addresses."""
    warnings: list[str] = []
    logger, handler = logging.getLogger("unearth"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield warnings
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def _retried(action: Callable[[], Result], retries: int) -> Result:
    """Do something again while the network fails."""
    from httpx2 import TransportError

    for attempt in range(retries):
        try:
            return action()
        except TransportError:
            time.sleep(FIRST_PAUSE_S * 2**attempt)
    return action()


def _is_version(package: str, found: Found) -> bool:
    from packaging.requirements import Requirement

    version = found.package.version
    return version is not None and Requirement(package).specifier.contains(version, prereleases=True)


def _best(found: Iterable[Found]) -> Found:
    """The file to take, of those with the right version and kind."""
    from packaging.tags import sys_tags
    from packaging.utils import parse_wheel_filename

    found = sorted(found, key=lambda one: one.link.filename)
    found = [one for one in found if not one.link.is_yanked] or found
    newest = max(map(_version, found))
    found = [one for one in found if _version(one) == newest]
    if not found[0].link.is_wheel:
        return found[0]
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    parsed = {one.link.filename: parse_wheel_filename(one.link.filename) for one in found}

    def rank(one: Found) -> tuple[bool, int]:
        tags = parsed[one.link.filename][3]
        is_universal = any((tag.abi, tag.platform) == ("none", "any") for tag in tags)
        return not is_universal, min(ranks.get(tag, len(ranks)) for tag in tags)

    return min(sorted(found, key=lambda one: parsed[one.link.filename][2], reverse=True), key=rank)


def _version(found: Found) -> Version:
    from packaging.version import Version

    return Version(found.package.version or "0")


def _downloaded(found: Found, retries: int, folder: Path) -> Path:
    link = found.link
    given = link.hash_option or {}
    best = next((kind for kind in HASHES if kind in given), None)
    if best is None:
        log.info("%s gives no hash for %s", named(link.url_without_fragment), link.filename)
    # With one hash alone: of several, it would be enough if the weakest is right.
    hashes = {} if best is None else {best: [value.lower() for value in given[best]]}

    def download() -> Path:
        # What an earlier try left must not count as downloaded.
        return found.finder.download(link, Path(mkdtemp(dir=folder)), hashes)

    from unearth.errors import HashMismatchError

    try:
        with _heard():
            return _retried(download, retries)
    except HashMismatchError as error:
        [(kind, actual)] = error.actual.items()
        place = named(link.url_without_fragment)
        raise UserError(f"{link.filename} of {place} has the {kind} {actual}, not {hashes[kind][0]}.") from None
    except Exception as error:
        raise UserError(f"{link.filename} of {named(link.url_without_fragment)}: {_in_words(error)}.") from None


def _in_words(error: Exception) -> str:
    """What an error says, in one line."""
    said = " ".join(str(error).partition("\nFor more information")[0].split()) or type(error).__name__
    return without_secrets(said).rstrip(".")


def named(place: str) -> str:
    """A place as it is shown."""
    return re.sub(r"^file:(//(localhost)?)?", "", place) if _is_local(place) else without_secrets(place)


def _why_not(package: str, kind: str, others: Iterable[Found], troubles: list[str]) -> str:
    """Why there is no such file, in words."""
    others = list(others)
    if names := sorted({one.link.filename for one in others if _is_version(package, one)}):
        what = "wheel" if kind == "whl" else "source distribution that ends in .tar.gz"
        hint = ""
        if kind == "whl" and any(name.endswith(".tar.gz") for name in names):
            hint = "; for a data source, `distribution: source` reads that"
        return f"this version has no {what}, but {', '.join(names[:4])}{hint}"
    also = f" ({'; '.join(troubles)})" if troubles else ""
    if versions := sorted({_version(one) for one in others}):
        return f"there is no such version, but {'…, ' * (len(versions) > 8)}{', '.join(map(str, versions[-8:]))}{also}"
    return "; ".join(troubles) or "no place that pip's settings name has a package of this name"
