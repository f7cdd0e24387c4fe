import json
import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
import vl_convert

from loragrid.analysis.figures.all_figures import figures_of_data, figures_of_results
from loragrid.analysis.figures.figure import panels_note
from loragrid.analysis.figures.files import write_figures
from loragrid.analysis.figures.names import CAPTIONS, CATEGORIES, TITLES
from loragrid.analysis.figures.pdf import in_order
from loragrid.analysis.figures.theme import GRID, INK, PAPER, SOFT
from loragrid.layout import ANALYSE, DESCRIBE_DATA, FIGURE_FILES, FIGURES
from loragrid.planning.verification.contents import READERS
from projects import REPOSITORY

OUTPUTS = ANALYSE.outputs | DESCRIBE_DATA.outputs
LENGTHS = pd.DataFrame(
    [("long/gold", "train", "long", field, "words", "", n) for field in ("input", "output") for n in (1, 2, 9)],
    columns=["of", "part", "component", "field", "unit", "tokenizer", "length"],
)


def below(folder):
    return ANALYSE.below(folder) | DESCRIBE_DATA.below(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "figures").iterdir())}


@pytest.fixture(scope="module")
def folder(figures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    write_figures(figures | dict(figures_of_data(LENGTHS)), below(folder))
    return folder


def test_every_figure_is_there_in_every_format_and_can_be_read(folder):
    files = {f"{name}.{ending}" for names in FIGURES.values() for name in names for ending in FIGURE_FILES.values()}
    assert set(contents(folder)) == files
    for path in (folder / "figures").iterdir():
        READERS[path.suffix](path)


def test_the_same_figure_has_the_same_bytes(folder, made, settings, tmp_path):
    write_figures(figures_of_results(made, settings) | dict(figures_of_data(LENGTHS)), below(tmp_path))
    assert contents(tmp_path) == contents(folder)


def test_a_pdf_is_the_same_however_often_it_is_written_and_stays_whole(folder):
    svg = (folder / "figures/contrast_intervals.svg").read_text()
    written = [vl_convert.svg_to_pdf(svg) for _ in range(8)]
    # If this fails, vl-convert may write them in one order now.
    assert len(set(written)) > 1
    [pdf] = {in_order(one) for one in written}
    assert in_order(pdf) == pdf
    start = int(pdf.rpartition(b"startxref\n")[2].split()[0])
    assert pdf[start:].startswith(b"xref\n0 ")
    places = re.findall(rb"(\d{10}) 00000 n", pdf[start:])
    assert all(pdf[int(place) :].startswith(b"%d 0 obj" % number) for number, place in enumerate(places, 1))
    streams = [sorted(re.findall(rb"\nstream\n(.*?)\nendstream", one, re.DOTALL)) for one in (pdf, written[0])]
    assert streams[0] == streams[1]


def test_a_specification_has_the_colours_of_data_but_no_data_and_none_of_paper_and_ink(folder):
    for names in FIGURES.values():
        for name in names:
            text = (folder / f"figures/{name}.json").read_text()
            spec = json.loads(text)
            assert (spec["data"], set(spec["config"]), "datasets" in spec) == ({"name": "rows"}, {"range"}, False)
            # Words on cells have colours of their own: they stand on the colours of data.
            ink = {colour for colour in (INK, SOFT, GRID, PAPER["background"]) if colour in text}
            assert ink <= ({INK, "#FFFFFF"} if "mark_text" in text or '"text"' in text else set()), name


def test_a_figure_without_rows_says_so_and_has_all_its_files(folder, figures, tmp_path):
    figure = figures["tokens"]
    write_figures({"tokens": figure._replace(rows=figure.rows.iloc[:0])}, below(tmp_path))
    assert set(contents(tmp_path)) == {f"tokens.{ending}" for ending in FIGURE_FILES.values()}
    assert "no data" in "".join(ET.parse(tmp_path / "figures/tokens.svg").getroot().itertext())


HOSTILE = '<script>alert(1)</script> & "q" \' =1+1 \u202eabc 😀'


def test_text_of_names_is_text(figures, tmp_path):
    figure = figures["learning_curves"]
    write_figures({"learning_curves": figure._replace(rows=figure.rows.assign(label=HOSTILE), note=HOSTILE)}, below(tmp_path))
    svg = (tmp_path / "figures/learning_curves.svg").read_text()
    assert "<script" not in svg
    assert "<script>alert(1)</script>" in "".join(ET.fromstring(svg).itertext())


def test_what_cannot_all_be_drawn_is_said(figures, tmp_path):
    figure = figures["loss_curves"]
    rows = pd.concat([figure.rows.assign(panel=f"p{n}", panel_order=n) for n in range(30)])
    assert panels_note(rows, "label").startswith("At most 24 of 30 panels are drawn")
    write_figures({"loss_curves": figure._replace(rows=rows, note=panels_note(rows))}, below(tmp_path))
    svg = (tmp_path / "figures/loss_curves.svg").read_text()
    assert set(re.findall(r">p(\d+)<", svg)) == {str(n) for n in range(24)}
    assert "At most 24 of 30 panels" in svg


def test_every_figure_has_a_title_a_caption_and_a_place_in_snakemakes_report():
    names = {name for names in FIGURES.values() for name in names}
    assert set(TITLES) == set(CAPTIONS) == set(CATEGORIES) == names
    for name in names:
        assert " ".join((REPOSITORY / f"workflow/report/{name}.rst").read_text().split()) == CAPTIONS[name]
