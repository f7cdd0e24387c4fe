"""Hyper-parameters with several values: the settings that they stand for, and the names of these."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from pydantic import ValidationError

from loragrid.layout import NAME
from loragrid.sections import decisive
from loragrid.training.methods import LoraTraining, entry_behind, parse_training
from loragrid.training.sweeps import LONGEST, Distribution, setting_name


def settings(entry):
    """What each setting of a config is told, by its name."""
    return {name: decisive(training) for name, training in parse_training(entry).trainings("lora").items()}


def test_config_without_ranges_is_itself():
    entry = {"rank": 4, "target_modules": ["q_proj", "v_proj"]}
    assert settings(entry) == {"lora": decisive(parse_training(entry))}


def test_all_combinations_of_listed_values_are_settings():
    found = settings({"epochs": 3, "sweep": {"learning_rate": [1e-4, 3e-4], "rank": [8, 16]}})
    assert found == {
        f"lora-learning_rate{text}-rank{rank}": decisive(parse_training({"epochs": 3, "learning_rate": rate, "rank": rank}))
        for text, rate in (("1e-4", 1e-4), ("3e-4", 3e-4))
        for rank in (8, 16)
    }


def test_bare_list_of_a_key_that_takes_no_list_is_swept():
    assert settings({"rank": [8, 16], "dora": [True, False]}) == settings({"sweep": {"rank": [8, 16], "dora": [True, False]}})


def test_key_that_takes_a_list_is_swept_by_a_list_of_lists():
    found = settings({"sweep": {"target_modules": [["q_proj", "v_proj"], "all-linear"]}})
    told = {name: setting["target_modules"] for name, setting in found.items()}
    assert told == {
        "lora-target_modules_q_proj.v_proj": ["q_proj", "v_proj"],
        "lora-target_modules_all-linear": "all-linear",
    }


def test_swept_values_go_before_the_value_of_the_config():
    assert [one["rank"] for one in settings({"rank": 2, "sweep": {"rank": [8, 16]}}).values()] == [8, 16]


def test_key_that_a_method_requires_may_be_swept():
    entry = {"method": "peft", "sweep": {"config_class": ["IA3Config", "LoHaConfig"]}}
    assert [one["config_class"] for one in settings(entry).values()] == ["IA3Config", "LoHaConfig"]


def test_another_value_keeps_the_names_of_the_others():
    few = settings({"sweep": {"rank": [8, 16], "schedule": ["linear"]}})
    more = settings({"sweep": {"schedule": ["cosine", "linear"], "rank": [4, 8, 16, 32]}})
    assert few.items() <= more.items()


RANDOM = {"draws": 3, "learning_rate": {"log_uniform": [1e-5, 1e-3]}, "dropout": {"uniform": [0, 0.2]}}


def test_more_draws_keep_the_first_ones():
    few, more = settings({"sweep": RANDOM}), settings({"sweep": RANDOM | {"draws": 6}})
    assert len(few) == 3
    assert len(more) == 6
    assert few.items() <= more.items()


def test_a_draw_does_not_depend_on_other_keys():
    rates = [one["learning_rate"] for one in settings({"sweep": RANDOM}).values()]
    alone = settings({"sweep": {"draws": 3, "learning_rate": RANDOM["learning_rate"]}})
    assert [one["learning_rate"] for one in alone.values()] == rates


def test_draws_are_the_same_in_every_version():
    assert list(settings({"sweep": RANDOM})) == [
        "lora-dropout0.161-learning_rate1.27e-4",
        "lora-dropout0.123-learning_rate3.65e-5",
        "lora-dropout0.0806-learning_rate2.52e-5",
    ]


def test_another_seed_draws_other_values():
    assert not settings({"sweep": RANDOM}).keys() & settings({"sweep": RANDOM | {"seed": 2}}).keys()


def test_each_draw_is_combined_with_all_listed_values():
    found = settings({"sweep": RANDOM | {"rank": [8, 16]}}).values()
    assert len(found) == 6
    assert len({one["learning_rate"] for one in found}) == 3


SHARES = st.floats(0, 1, exclude_max=True)


@tried(max_examples=50, deadline=None, derandomize=True)
@given(SHARES, st.floats(1e-9, 1e9), st.floats(1.001, 1e6))
def test_drawn_numbers_stay_in_their_range_and_have_three_digits(share, low, factor):
    high = low * factor
    for kind in ("uniform", "log_uniform"):
        value = Distribution(**{kind: [low, high]}).at(share)
        assert low <= value <= high
        assert value in (low, high) or float(f"{value:.3g}") == value


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        ({"uniform": [0, 1]}, [0, 0.25, 0.5, 0.75]),
        ({"log_uniform": [1, 10_000]}, [1, 10, 100, 1000]),
        ({"integers": [1, 4]}, [1, 2, 3, 4]),
        ({"choice": ["a", "b"]}, ["a", "a", "b", "b"]),
    ],
)
def test_a_distribution_gives_values_their_share(distribution, values):
    assert [Distribution(**distribution).at(share) for share in (0, 0.25, 0.5, 0.75)] == values


TEXT = "ab1_.-~/ \n{}é"
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 10**9),
    st.floats(0, 1e30),
    st.text(TEXT, max_size=60),
    st.lists(st.text("ab_.", min_size=1, max_size=30), min_size=1, max_size=4),
    st.dictionaries(st.text(TEXT, max_size=5), st.integers(), max_size=2),
)


@tried(max_examples=50, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(["learning_rate", "rank", "target_modules", "beta2"]), VALUES, min_size=1))
def test_every_setting_has_a_valid_name_of_bounded_length(values):
    name = setting_name("lora", values)
    assert re.fullmatch(NAME, name)
    assert len(name) <= LONGEST


@tried(max_examples=50, deadline=None, derandomize=True)
@given(VALUES, VALUES)
def test_different_values_have_different_names(one, other):
    if repr(one) != repr(other) and not (isinstance(one, int | float) and isinstance(other, int | float) and one == other):
        names = {setting_name("c", {"key": value}) for value in (one, other)}
        # A text may be what another kind of value is written as; the configuration is refused then.
        assert len(names) == 2 or str(one).lower().replace("none", "null") == str(other).lower().replace("none", "null")


def test_arguments_of_any_kind_are_named_and_not_by_their_order():
    one, other = {"a": 1, "b": {2: date(2025, 1, 31), "c": -0.5}}, {"b": {"c": -0.5, 2: date(2025, 1, 31)}, "a": 1}
    assert (
        setting_name("c", {"settings": one})
        == setting_name("c", {"settings": other})
        == "c-settings_a_1_b_2_2025_01_31_c_acbe5227"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(8, "8"), (8.0, "8"), (100_000, "100000"), (1e6, "1e6"), (0, "0"), (0.05, "0.05"), (0.001, "1e-3"), (2.5e-5, "2.5e-5")],
)
def test_numbers_are_named_as_people_write_them(value, text):
    assert setting_name("c", {"rank": value}) == f"c-rank{text}"


@pytest.mark.parametrize(
    ("entry", "place", "said"),
    [
        ({"rank": [4, 0]}, ("rank", 1), "greater than or equal to 1"),
        ({"sweep": {"rank": [4, 0]}}, ("sweep", "rank", 1), "greater than or equal to 1"),
        ({"sweep": {"alpha": [1], "draws": 2, "rank": {"uniform": [1, 9]}}}, ("sweep", "rank"), "valid integer"),
        ({"sweep": {"ranc": [4]}}, ("sweep", "ranc"), "did you mean 'rank'?"),
        ({"sweep": {"method": ["lora"]}}, ("sweep", "method"), "list another config"),
        ({"sweep": {"kernels": ["none"]}}, ("sweep", "kernels"), "results do not depend on it"),
        ({"sweep": {"rank": 8}}, ("sweep", "rank"), "expected a list of values, or a distribution"),
        ({"rank": []}, ("rank",), "expected a list of values"),
        ({"rank": [[8, 16], 32]}, ("rank", 0), "expected one value, not the list [8, 16]."),
        ({"sweep": {"draws": 2, "rank": {"choice": [[8, 16]]}}}, ("sweep", "rank"), "expected one value, not the list [8, 16]."),
        ({"rank": [4], "sweep": {"rank": [8]}}, ("sweep", "rank"), "outside of sweep already"),
        ({"sweep": {}}, ("sweep",), "expected a hyper-parameter"),
        ({"sweep": {"rank": {"integers": [1, 4]}}}, ("sweep",), "draws is missing"),
        ({"sweep": {"draws": 2, "rank": [4]}}, ("sweep",), "needs a hyper-parameter with a distribution"),
        ({"sweep": {"draws": 2, "rank": {"integers": [4, 1]}}}, ("sweep", "rank"), "in this order"),
        ({"sweep": {"draws": 2, "rank": {"log_uniform": [0, 1]}}}, ("sweep", "rank"), "numbers above 0"),
        ({"sweep": {"draws": 2, "rank": {"choice": [1], "integers": [1, 2]}}}, ("sweep", "rank"), "exactly one of"),
        ({"sweep": {"draws": 2, "rank": {"unifrom": [1, 2]}}}, ("sweep", "rank", "unifrom"), "Extra inputs"),
        ({"rank": list(range(1, 41)), "batch_size": list(range(1, 41))}, (), "makes 1,600 settings"),
        ({"keep": ["last", "best"], "evaluations": [1, 0]}, (), "validations: set evaluations or validate_every (in the setting"),
    ],
)
def test_mistake_is_told_at_the_key_where_a_user_wrote_it(entry, place, said):
    with pytest.raises(ValidationError) as raised:
        parse_training(entry)
    [error] = raised.value.errors()
    # Behind the method, by which the kind of training is told.
    assert error["loc"][1:] == place
    assert said in error["msg"]


def test_all_wrong_values_are_told_at_once():
    with pytest.raises(ValidationError) as raised:
        parse_training({"rank": [0, 4, -1], "sweep": {"alpha": [1, 0]}})
    assert {error["loc"][1:] for error in raised.value.errors()} == {("rank", 0), ("rank", 2), ("sweep", "alpha", 1)}


def test_settings_that_would_share_a_name_are_refused():
    with pytest.raises(ValidationError, match="would have the same name"):
        parse_training({"method": "prompt_tuning", "init_text": [None, "null"]})


def test_entry_behind_a_setting_is_that_of_its_config():
    raw = {"configs": {"lora": {"rank": [4, 8], "kernels": "none"}, "lora-rank": {"rank": 1}, 3: {"alpha": [1, 2]}}}
    assert entry_behind(raw, "lora-rank8") == raw["configs"]["lora"]
    assert entry_behind(raw, "lora-rank") == {"rank": 1}
    assert entry_behind(raw, "3-alpha2") == {"alpha": [1, 2]}


def test_schema_allows_a_list_only_where_it_is_swept():
    schema = LoraTraining.model_json_schema()
    of_lora, defined = schema["properties"], schema["$defs"]
    assert of_lora["rank"]["anyOf"][-1]["type"] == "array"
    assert of_lora["sweep"]["anyOf"][0] == {"$ref": "#/$defs/Sweep"}
    assert [option["type"] for option in of_lora["target_modules"]["anyOf"]] == ["string", "array"]
    assert "anyOf" not in of_lora["kernels"]
    assert of_lora["rank"]["default"] == 8
    assert {"$ref": "#/$defs/Distribution"} in defined["Sweep"]["additionalProperties"]["anyOf"]
