"""What the report says first: how many kinds of run are better, and worse."""

from loragrid.analysis.findings import headline
from unit.analysis import grids
from unit.analysis.grids import MAIN, base, contrasts

CLEAR, CHANCE = [0.8, 0.9, 0.7, 0.85] * 4, [0.5, -0.5, 0.4, -0.45] * 4


def test_headline_counts_verdicts_on_kinds_of_run_losses_as_well_as_gains():
    results = [(base(), [0.0] * 16)]
    results += [(grids.run(config="good", seed=seed), CLEAR) for seed in (1, 2)]
    results += [(grids.run(config="bad", seed=seed), [-value for value in CLEAR]) for seed in (1, 2)]
    results += [(grids.run(config="same", seed=seed), CHANCE) for seed in (1, 2)]
    # What a run does on a task that it was not trained for does not count.
    results += [(base(task="u"), [0.0] * 16), (grids.run(task="u", own="t", config="good"), CLEAR)]
    [found] = headline(contrasts(*results), MAIN)
    assert {name: found[name] for name in ("kinds", "better", "worse", "undecided", "equivalent", "too_little")} == {
        "kinds": 3,
        "better": 1,
        "worse": 1,
        "undecided": 1,
        "equivalent": 0,
        "too_little": 0,
    }
    assert (found["n"], found["seeds"], found["references"], found["asked"]) == ((16, 16), (2, 2), None, None)


def test_run_that_is_asked_in_two_ways_is_one_run():
    results = [
        (one(prompting=how), values) for one, values in ((base, [0.0] * 16), (grids.run, CLEAR)) for how in ("zero_shot", "few")
    ]
    assert [(one["asked"], one["kinds"], one["better"]) for one in headline(contrasts(*results), MAIN)] == [
        ("prompting zero_shot", 1, 1),
        ("prompting few", 1, 1),
    ]


def test_headline_judges_by_the_references_of_one_sample_type_at_a_time():
    results = [(base(references=references), [0.0] * 16) for references in ("experts", "auto")]
    gains = {("experts", "experts"): CLEAR, ("auto", "experts"): CHANCE, ("experts", "auto"): CHANCE, ("auto", "auto"): CLEAR}
    results += [(grids.run(trained_on=trained, references=references), values) for (trained, references), values in gains.items()]
    found = headline(contrasts(*results), MAIN)
    assert [(one["references"], one["kinds"], one["better"]) for one in found] == [("experts", 2, 1), ("auto", 2, 1)]
    assert headline(contrasts((base(), [0.1])), MAIN) == []


def two_tasks(*verdicts, n=8):
    """A base model and kinds of run on two tasks, each kind with the same results on both."""
    results = [(base(task=task), [0.0] * 16) for task in "tu"]
    return results + [(grids.run(task=t, n=n, config=f"c{i}"), of) for t in "tu" for i, of in enumerate(verdicts)]


def test_headline_counts_means_over_tasks_where_these_were_declared():
    asked_for = [{"axis": "training", "over_tasks": True}]
    [found] = headline(contrasts(*two_tasks(CLEAR, CHANCE), comparisons=asked_for), MAIN)
    assert (found["kinds"], found["better"], found["undecided"]) == (2, 1, 1)
    assert (found["means_over"], found["n"], found["exploratory"]) == (["t, u"], (32, 32), False)


def test_headline_of_what_was_not_declared_says_so():
    table = contrasts(*two_tasks(CLEAR), comparisons=[{"axis": "training", "exploratory": True}])
    [found] = headline(table, MAIN)
    assert (found["kinds"], found["exploratory"], found["means_over"]) == (2, True, [])
    [declared] = headline(contrasts(*two_tasks(CLEAR)), MAIN)
    assert not declared["exploratory"]
