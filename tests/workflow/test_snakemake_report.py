"""Snakemake's own report: `snakemake --report`."""

import json
import re

from loragrid.analysis.figures.names import CAPTIONS, CATEGORIES, TITLES
from loragrid.layout import ANALYSE, DESCRIBE_DATA, FIGURES


def told(html, name):
    """What the page's script is told."""
    return json.loads(re.search(rf"var {name} = (\{{.*\}});", html)[1])


def words(text):
    return re.findall(r"\w+", re.sub(r"<[^>]+>", " ", text))


def test_snakemakes_report_has_every_figure_with_its_title_and_caption_in_its_category(finished):
    path = finished.folder / "snakemake.html"
    try:
        finished.snakemake("--report", path.name)
        html = path.read_text()
    finally:
        path.unlink(missing_ok=True)
    results, categories = told(html, "results"), told(html, "categories")
    outputs = ANALYSE.outputs | DESCRIBE_DATA.outputs
    names = [name for figures in FIGURES.values() for name in figures]
    assert set(results) == {outputs[name] for name in names}
    for name in names:
        result = results[outputs[name]]
        assert (result["labels"], result["mime_type"]) == ({"figure": TITLES[name]}, "image/svg+xml")
        assert words(result["caption"]) == words(CAPTIONS[name])
        assert any(outputs[name] in figures for figures in categories[CATEGORIES[name]].values())
