"""Builds the documentation as a site that works without a network: python docs/site/build.py FOLDER

Pages link to each other as they lie in the repository. So they are copied as they lie, with the files that they link to, and the
site has the same folders.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]

PAGES = ("README.md", "docs/**/*.md", "config/**/*.md", "profiles/**/*.md", "tests/**/README.md")

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
"""A link or image of Markdown, with where it leads."""


def pages(root: Path) -> list[Path]:
    """All pages of the site."""
    return sorted({page for pattern in PAGES for page in root.glob(pattern)})


def plain_text(page: str) -> str:
    """A page without its code, which holds no links and no headings."""
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^ *```.*?^ *```", "", page, flags=re.M | re.S))


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Where the links of a page lead inside of the repository: path and anchor, each perhaps empty."""
    for target in LINK.findall(plain_text(page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield unquote(path), anchor


def linked_files(root: Path) -> Iterator[Path]:
    """What pages link to that is no page itself."""
    for page in pages(root):
        for path, _ in links(page):
            target = (page.parent / path).resolve()
            if path and target.suffix != ".md" and target.is_relative_to(root):
                yield target


def copy_pages(root: Path, folder: Path) -> None:
    """Fill a folder with the pages and what they link to. A folder that is linked to gets a page that lists its files."""
    for file in [*pages(root), *filter(Path.is_file, linked_files(root))]:
        place = folder / file.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    for linked in {*filter(Path.is_dir, linked_files(root))}:
        place = folder / linked.relative_to(root)
        place.mkdir(parents=True, exist_ok=True)
        files = sorted(file for file in linked.iterdir() if file.is_file() and not file.name.startswith("."))
        for file in files:
            shutil.copyfile(file, place / file.name)
        if not (place / "README.md").exists():
            listed = "".join(f"- [{file.name}]({file.name})\n" for file in files)
            (place / "README.md").write_text(f"# {linked.relative_to(root).as_posix()}\n\n{listed}", encoding="utf-8")


class Page(HTMLParser):
    """What a page of the built site leads to, loads, and can be led to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value for key, value in attrs if value}
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        self.loaded |= {given[key] for key in ("src", "href") if key in given and tag != "a"}


def faults(site: Path) -> Iterator[str]:
    """One line for each link of a site that leads nowhere, and for each thing that a page loads from elsewhere."""
    read = {page: Page(page) for page in site.rglob("*.html") if page.name != "404.html"}
    for page, found in read.items():
        yield from (f"{page}: loads {address}" for address in found.loaded if re.match(r"(https?:)?//", address))
        for link in found.links:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:|//", link):
                continue
            target = (page.parent / unquote(path)).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{page}: leads to {link}, which is not there"
            elif target in read and unquote(anchor) not in read[target].anchors:
                yield f"{page}: leads to {link}, but that page has no such anchor"


def main(folder: Path) -> None:
    """Build the site in the folder `site` below `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_pages(REPOSITORY, folder / "pages")
    shutil.copyfile(Path(__file__).with_name("zensical.toml"), folder / "zensical.toml")
    subprocess.run([Path(sys.executable).with_name("zensical"), "build", "--strict"], cwd=folder, check=True)
    if found := sorted(faults(folder.resolve() / "site")):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
