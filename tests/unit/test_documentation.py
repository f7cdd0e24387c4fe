"""Links of the documentation lead somewhere, to the anchor; and every page is in the site."""

import importlib.util
import re
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from projects import REPOSITORY

SITE = REPOSITORY / "docs/site"
_found = importlib.util.spec_from_file_location("build_site", SITE / "build.py")
build = importlib.util.module_from_spec(_found)
_found.loader.exec_module(build)

PAGES = build.pages(REPOSITORY)
OF_CODE = [
    *(REPOSITORY / "workflow").rglob("*.py"),
    *(REPOSITORY / "workflow").rglob("*.smk"),
    *(REPOSITORY / "config").rglob("*.yaml"),
]


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = build.plain_text(page.read_text(encoding="utf-8").replace("`", ""))
    made = [
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.M)
    ]
    counts = Counter(made)
    assert all(count == 1 for count in counts.values()), f"{page}: headings with the same anchor: {counts.most_common(1)}"
    return set(made)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_of_a_page_lead_to_what_is_there(page):
    for path, anchor in build.links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {path}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {path}#{anchor}"


def test_pages_that_code_and_configurations_name_are_there():
    named = {match for file in OF_CODE for match in re.findall(r"docs/[\w/.-]+\.md", file.read_text(encoding="utf-8"))}
    assert named
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def test_the_site_leads_to_every_page_of_the_documentation():
    def listed(entries):
        for entry in entries:
            for value in entry.values():
                yield from [value] if isinstance(value, str) else listed(value)

    nav = list(listed(tomllib.loads((SITE / "zensical.toml").read_text())["project"]["nav"]))
    assert [page for page in nav if not (REPOSITORY / page).exists()] == []
    of_docs = {page.relative_to(REPOSITORY).as_posix() for page in PAGES if page.is_relative_to(REPOSITORY / "docs")}
    assert of_docs <= {*nav, "docs/guide.md"}


def test_a_folder_that_is_linked_to_is_a_page_of_the_site(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("[all](../things) and [one](../one.txt), not `[this](../none)`")
    (tmp_path / "things").mkdir()
    (tmp_path / "things/x.yaml").write_text("x: 1")
    (tmp_path / "one.txt").write_text("1")
    build.copy_pages(tmp_path, tmp_path / "site")
    assert (tmp_path / "site/one.txt").read_text() == "1"
    assert (tmp_path / "site/things/README.md").read_text() == "# things\n\n- [x.yaml](x.yaml)\n"
    assert (tmp_path / "site/things/x.yaml").exists()


def test_a_built_site_is_searched_for_links_that_lead_nowhere_and_for_what_it_loads_from_elsewhere(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/index.html").write_text('<h1 id="top">A</h1>')
    (tmp_path / "b.html").write_text(
        '<a href="a/#top"></a><a href="a/index.html#none"></a><a href="c.html"></a><a href="https://x.org"></a>'
        '<script src="https://cdn.x.org/a.js"></script><img src="b.png">'
    )
    assert sorted(build.faults(tmp_path)) == [
        f"{tmp_path}/b.html: leads to a/index.html#none, but that page has no such anchor",
        f"{tmp_path}/b.html: leads to c.html, which is not there",
        f"{tmp_path}/b.html: loads https://cdn.x.org/a.js",
    ]


def test_code_on_the_page_of_a_study_draws_three_scorers_in_a_panel(tmp_path, monkeypatch):
    [code] = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/studies/instruction-mixes-2023.md").read_text(), re.S)
    table = tmp_path / "results/experiments/instruction-mixes-2023/tables/ways.csv"
    table.parent.mkdir(parents=True)
    metrics = ("rouge,rougeL", "sbert,cosine", "bertscore,f1", "rouge,rouge1")
    rows = [f"write,{trained},{n},{metric},0.{n + 5}" for trained in ("write", "other") for n in (0, 10) for metric in metrics]
    table.write_text("\n".join(["task,trained_task,nb_samples,scorer,metric,mean", *rows, "write,,,rouge,rougeL,0.9"]))
    monkeypatch.chdir(tmp_path)
    variables = {}
    exec(code, variables)
    assert len(variables["shown"]) == 2 * 3
    drawn = (tmp_path / "three_scorers.svg").read_text()
    assert all(metric.replace(",", "/") in drawn for metric in metrics[:3])


def test_the_picture_of_the_report_is_small():
    assert (REPOSITORY / "docs/images/report.png").stat().st_size < 200_000
