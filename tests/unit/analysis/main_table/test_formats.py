"""The table of the study as Markdown, LaTeX, text in a terminal, and columns of a spreadsheet."""

import re

import pandas as pd
import pytest

from loragrid.analysis.main_table.cells import Standing, decimals, text_of
from loragrid.analysis.main_table.latex import PAGE_ROWS, as_latex
from loragrid.analysis.main_table.markdown import as_markdown
from loragrid.analysis.main_table.spreadsheets import as_columns, wide_runs, wide_ways
from loragrid.analysis.main_table.terminal import MOST_ROWS, as_text
from unit.analysis.main_table.way_tables import baseline, grid, parts, trained, way

STUDY = [
    way(0.25, low=0.125, high=0.375),
    trained(0.5, standing=Standing.BEST, config="lo_ra|1", nb_cut_off=2, nb_samples=8),
    trained(0.46, standing=Standing.EQUIVALENT, config="wi~de%", nb_samples=8),
    trained(0.45, standing=Standing.UNDECIDED, config="lo_ra|1", nb_failed=3, nb_samples=16),
    baseline(0.125, low=float("nan"), high=float("nan")),
]


def test_markdown_shows_names_as_they_are_and_marks_what_is_to_be_known():
    text = as_markdown(parts(*STUDY))
    assert text.splitlines()[2:] == [
        "| config | training examples | r/x |",
        "| --- | --- | ---: |",
        "| base model |  | 0.250 [0.125, 0.375] |",
        r"| lo_ra\|1 | 8 | **0.500** [0.400, 0.600] <sup>c</sup> |",
        r"| lo_ra\|1 | 16 | 0.450 [0.350, 0.550] <sup>≈,f</sup> |",
        r"| wi\~de% | 8 | 0.460 [0.360, 0.560] <sup>=</sup> |",
        "| first words (baseline) |  | 0.125 |",
    ]


def test_caption_says_what_the_figures_rest_on_and_what_the_marks_mean():
    caption = as_markdown(parts(*STUDY)).splitlines()[0]
    assert caption.startswith(
        "**r/x.** Mean and 95 % interval over n = 16 test questions; one training seed: figures of fine-tuned"
    )
    for sentence in (
        "Higher is better.",
        "Bold: the best way on its test set.",
        "=: equivalent to it, by the smallest difference that matters.",
        "≈: not told apart from it",
        "f: with failed scores (up to 3)",
        "c: with answers cut off at the length limit (up to 2).",
        "In all: base model m, mix only, loss computation full, task t, sample type s.",
    ):
        assert sentence in caption


def test_last_column_says_what_the_trainings_of_a_row_have_forgotten_where_that_is_known():
    names = {config: "__".join(map(str, ("t", "s", "only", 8, config, "full"))) for config in ("a", "b")}
    rows = [way(0.25), trained(0.5, config="a"), trained(0.4, config="a", task="u"), trained(0.3, config="b"), way(0.2, task="u")]
    forgotten = {("m", names["a"]): 0.125, ("m", names["a"].replace("t__", "u__", 1)): 0.25}
    found = parts(*rows, forgotten=forgotten)
    table = as_columns(found).set_index("config")
    assert table["forgotten"].dropna().to_dict() == {"a": (0.125 + 0.25) / 2}
    assert list(table.columns)[-1] == "forgotten"
    text = as_markdown(found)
    assert [line.split("|")[-2].strip() for line in text.splitlines()[2:]] == ["forgotten", "---:", "–", "+0.188", "–"]
    assert "forgotten: how much larger the loss of a token of general language is than with the base model" in text
    assert "+0.188" in as_latex(found)
    assert "| 0.000 |" in as_markdown(parts(*rows, forgotten=dict.fromkeys(forgotten, -0.0001)))
    assert "forgotten" not in as_markdown(parts(*rows)) + as_latex(parts(*rows))
    assert "forgotten" not in as_columns(parts(*rows))


def test_caption_is_silent_on_marks_that_no_cell_has():
    caption = as_markdown(parts(way(0.5), trained(0.5, seeds=3))).splitlines()[0]
    assert caption == (
        "**r/x.** Mean and 95 % interval over n = 16 test questions and 3 training seeds. Higher is better. "
        "In all: base model m, mix only, config lora, loss computation full, training examples 8, task t, sample type s."
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([way(0.5), way(0.5, task="u", n=20, clusters=20)], "over test questions: n = 16 (t), 20 (u)."),
        ([way(0.5), way(0.5, prompting="three", n=20, clusters=20)], "over n = 16 to 20 test questions."),
        ([way(0.5, n=1600, clusters=20)], "over n = 1,600 test questions in 20 clusters."),
        ([trained(0.5, seeds=3), trained(0.5, seeds=1, config="b")], "n = 16 test questions and 1 to 3 training seeds."),
    ],
)
def test_caption_tells_the_numbers_of_questions_clusters_and_seeds(rows, said):
    assert said in as_markdown(parts(*rows))


def test_of_a_metric_with_lower_is_better_the_caption_says_so():
    assert "Lower is better." in as_markdown(parts(way(0.5, lower=True)))
    mixed = as_markdown(parts(way(0.5), way(30, metric="perplexity", lower=True)))
    assert "Lower is better for r/perplexity; higher for all else." in mixed
    assert "| 0.500 [0.400, 0.600] | 30.00 [29.90, 30.10] |" in mixed


def test_what_holds_for_parts_that_follow_each_other_is_said_once():
    rows = [trained(0.5, nb_samples=size, config=config) for size in (8, 16) for config in "ab"]
    both = parts(*rows, rows=["config"])
    assert as_markdown(both).count("Higher is better.") == 1
    assert as_text(both, 80, False, "").count("Higher is better.") == 1


@pytest.mark.parametrize(
    ("numbers", "places"), [((0.5, 0.4, 0.6), 3), ((-9.99, -10.5, 1), 2), ((99.9, 99, 100), 1), ((2500, 1, 30000), 0)]
)
def test_figures_have_three_or_four_digits(numbers, places):
    [part] = parts(way(*numbers))
    assert decimals(part.cells.values()) == places


def test_no_figure_is_less_than_nothing_by_rounding():
    [part] = parts(way(-0.0001, low=-0.4, high=float("inf")), metric="r/x")
    [cell] = part.cells.values()
    assert text_of(cell, 3) == ("0.000", "")
    assert text_of(cell._replace(mean=float("nan")), 3) == ("–", "")


def test_latex_has_the_rules_of_booktabs_and_escapes_what_latex_would_read():
    text = as_latex(parts(*STUDY))
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert r"lo\_ra\textbar{}1 & 8 & \textbf{0.500} {\scriptsize [0.400, 0.600]}$^{\mathrm{c}}$ \\" in text
    assert r" & 16 & 0.450 {\scriptsize [0.350, 0.550]}$^{{\approx},\mathrm{f}}$ \\" in text
    assert r"wi\textasciitilde{}de\% & 8 & 0.460 {\scriptsize [0.360, 0.560]}$^{{=}}$ \\" in text
    assert r"\caption{r/x. Mean and 95 \% interval" in text
    assert r"$\approx$: not told apart" in text
    assert r"\label{tab:main}" in text


def test_latex_divides_what_is_too_wide_for_a_page_and_lets_long_tables_go_over_pages():
    wide = as_latex(parts(*(way(0.5, task=f"task-{number}") for number in range(9))))
    assert wide.count(r"\begin{table}") == 3
    assert all(wide.count(f"task-{number} ") == 1 for number in range(9))
    assert set(re.findall(r"\\label\{([^}]*)\}", wide)) == {"tab:main-1", "tab:main-2", "tab:main-3"}
    long = as_latex(parts(*(trained(0.5, config=f"c{number}") for number in range(PAGE_ROWS + 1))))
    assert r"\begin{longtable}" in long
    assert r"\begin{table}" not in long


def test_terminal_shows_the_table_in_its_width():
    assert as_text(parts(*STUDY), 80, False, "main.md").split("\n\n")[1].splitlines() == [
        "config   training       r/x",
        "         examples",
        "-------  -------------  -----------------------",
        "base model              0.250 [0.125, 0.375]",
        "lo_ra|1  8              0.500 [0.400, 0.600] *c",
        "         16             0.450 [0.350, 0.550] ~f",
        "wi~de%   8              0.460 [0.360, 0.560] =",
        "first words (baseline)  0.125",
    ]


@pytest.mark.parametrize("width", [60, 80, 132, 200])
def test_no_line_is_longer_than_the_terminal_is_wide_and_no_name_is_lost(width):
    name = "a-rather_long.name-of-a-configuration_with-many.parts_and-a-verylongwordwithoutanybreak"
    rows = [trained(0.5, config=name, base_model=f"{name}{number}", task=f"{name}.{task}") for number in "12" for task in "tuv"]
    text = as_text(
        parts(*rows, baseline(0.1, name="first_words", task=f"{name}.t"), way(0.2, task=f"{name}.t")), width, False, "main.md"
    )
    assert max(map(len, text.splitlines())) <= width
    assert text.count("0.500 [0.400, 0.600]") == 6
    assert "verylong" in text


def test_only_a_terminal_gets_bold_letters():
    shown = parts(*STUDY)
    assert "\033" not in as_text(shown, 80, False, "main.md")
    assert "\033[1m0.500 [0.400, 0.600] *c\033[0m" in as_text(shown, 80, True, "main.md")


@pytest.mark.parametrize("lower", [False, True])
def test_of_very_many_rows_the_terminal_shows_the_best_and_what_is_not_trained(lower):
    rows = [trained(number / 1000, config=f"c{number:03}", lower=lower) for number in range(100)]
    text = as_text(parts(way(0.05, lower=lower), *rows, baseline(0.01, lower=lower)), 80, False, "results/tables/main.md")
    kept = re.findall(r"^c\d+", text, re.M)
    best = rows[: MOST_ROWS - 2] if lower else rows[100 - MOST_ROWS + 2 :]
    assert kept == [row["config"] for row in best]
    assert "base model" in text
    assert "first words (baseline)" in text
    assert "62 more rows are in results/tables/main.md." in text


def test_of_very_many_rows_the_terminal_shows_the_best_of_every_column():
    rows = [trained(number / 1000, config=f"c{number:03}", task="t") for number in range(90)]
    # Some ways are tested on other tasks alone.
    alone = [trained(number / 1000, config=f"d{number:03}", task="u") for number in range(30)]
    text = as_text(parts(*rows, *alone), 80, False, "main.md")
    kept = re.findall(r"^[cd]\d+", text, re.M)
    assert len(kept) == MOST_ROWS
    # In turn the 20 best of t and the 20 best of u.
    assert kept == [f"c{number:03}" for number in range(70, 90)] + [f"d{number:03}" for number in range(10, 30)]


@pytest.mark.parametrize("asked", range(2))
def test_best_way_is_shown_beside_very_many_base_models(asked):
    models = [way(0.1, base_model=f"m{number:03}", task="tu"[asked]) for number in range(60)]
    text = as_text(parts(*models, way(0.1, task="v"), trained(0.9, task="t", config="best")), 80, False, "main.md")
    assert "0.900" in text


def test_spreadsheet_has_the_numbers_of_the_table_unrounded():
    table = as_columns(parts(*STUDY))
    assert list(table.columns[:4]) == ["config", "nb_samples", "r/x mean", "r/x low"]
    of = table.set_index(["config", "nb_samples"]).loc[("lo_ra|1", "16")]
    assert (of["r/x mean"], of["r/x standing"], of["r/x nb_failed"]) == (0.45, "not told apart from the best", 3)
    assert len(table) == len(grid(parts(*STUDY)[0]))


def test_wide_tables_have_the_axes_and_a_column_for_each_metric():
    rows = [
        way(0.1) | {"run": "base", "seed": None},
        way(0.2, metric="y") | {"run": "base", "seed": None},
        *(trained(0.3 + seed, seeds=1) | {"run": f"r{seed}", "seed": seed} for seed in (1, 2)),
    ]
    runs = wide_runs(pd.DataFrame(rows))
    assert list(runs.columns[-3:]) == ["seed", "r/x", "r/y"]
    assert runs[["run", "nb_samples", "seed", "r/x", "r/y"]].astype(object).where(runs.notna(), None).values.tolist() == [
        ["base", None, None, 0.1, 0.2],
        ["r1", 8, 1, 1.3, None],
        ["r2", 8, 2, 2.3, None],
    ]
    ways = wide_ways(pd.DataFrame(rows[:3]))
    assert list(ways.columns[-3:]) == ["loss_computation", "r/x", "r/y"]
    assert ways["r/x"].tolist() == [0.1, 1.3]
