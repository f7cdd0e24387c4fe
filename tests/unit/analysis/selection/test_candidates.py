from loragrid.analysis.selection.candidates import candidates_among


def run(**axes):
    usual = {
        "base_model": "m",
        "task": "t",
        "sample_type": "s",
        "prompting": "zero_shot",
        "prompt_variant": "default",
        "decoding": "greedy",
        "trained_task": "t",
        "trained_sample_type": "s",
        "mix": "alone",
        "nb_samples": 4,
        "config": "lora",
        "loss_computation": "completion",
        "seed": 1,
    }
    return usual | axes


def base(**axes):
    return {axis: value for axis, value in run().items() if axis in list(run())[:6]} | axes


def ways(models, *columns):
    return [found.ways for found in candidates_among(models, columns)]


def test_ways_compete_that_differ_only_in_the_axes_of_the_choice():
    models = [run(), run(config="slow"), run(nb_samples=8), run(nb_samples=8, config="slow")]
    assert ways(models, "config") == [{("lora",): [0], ("slow",): [1]}, {("lora",): [2], ("slow",): [3]}]
    assert ways(models, "nb_samples", "config") == [{(4, "lora"): [0], (4, "slow"): [1], (8, "lora"): [2], (8, "slow"): [3]}]


def test_seeds_belong_to_one_way():
    models = [run(seed=1), run(seed=2), run(seed=2, config="slow")]
    assert ways(models, "config") == [{("lora",): [0, 1], ("slow",): [2]}]


def test_who_has_nobody_to_compete_with_is_no_candidate():
    assert ways([run(), run(config="slow", nb_samples=8), run(seed=2)], "config") == []


def test_results_on_other_references_are_not_compared():
    models = [run(), run(config="slow", sample_type="r"), run(trained_sample_type="r"), run(config="slow", base_model="n")]
    assert ways(models, "config") == []
    assert ways(models, "trained_sample_type") == [{("s",): [0], ("r",): [2]}]
    # Not on what it was trained for.
    assert ways([run(), run(config="slow", task="u"), run(task="u")], "config") == []


def test_base_models_compete_with_each_other_where_the_choice_is_how_they_are_asked():
    models = [base(), base(prompt_variant="short"), run(), run(prompt_variant="short"), run(config="slow")]
    assert ways(models, "prompt_variant") == [
        {("default",): [0], ("short",): [1]},
        {("default",): [2], ("short",): [3]},
    ]
    assert [found.given["config"] for found in candidates_among(models, ["prompt_variant"])] == [None, "lora"]
    assert ways(models, "config") == [{("lora",): [2], ("slow",): [4]}]
