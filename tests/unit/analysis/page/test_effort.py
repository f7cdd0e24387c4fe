"""How many settings of each config were tried, as the report says it."""

import pandas as pd

from loragrid.analysis.page.configs import configs_table
from loragrid.analysis.page.effort import ALIKE, unequal_effort

CONFIG_OF = {"lora-rank4": "lora", "lora-rank8": "lora", "dora-rank4": "dora", "dora-rank8": "dora"}


def ways(*configs, **axes):
    """Rows of the table of ways, one for each config; None: the base model."""
    alike = dict.fromkeys(ALIKE, "same") | axes
    return pd.DataFrame([{**alike, "config": config} for config in configs], dtype=object)


def cautions(rows, config_of=CONFIG_OF):
    return [item for one in unequal_effort(rows, config_of) for item in one.items]


def test_configs_with_unequal_numbers_of_settings_are_named():
    assert cautions(ways(None, "lora-rank4", "lora-rank8", "plain")) == ["lora: 2, plain: 1"]
    assert cautions(ways("lora-rank4", "lora-rank8", "dora-rank4")) == ["lora: 2, dora: 1"]


def test_equal_effort_is_no_caution():
    assert cautions(ways("lora-rank4", "lora-rank8", "dora-rank4", "dora-rank8")) == []
    # Rows of several metrics are about the same settings.
    assert cautions(pd.concat([ways("lora-rank4", "dora-rank4"), ways("lora-rank4", "dora-rank4")])) == []


def test_only_configs_that_are_compared_count():
    apart = pd.concat([ways("lora-rank4", "lora-rank8", nb_samples=8), ways("dora-rank4", nb_samples=16)])
    assert cautions(apart) == []


def test_without_sweeps_there_is_no_caution():
    assert cautions(ways("lora", "dora", None), {}) == []


def test_table_of_configs_says_how_many_settings_each_config_got():
    told = {name: {"rank": name[-1]} for name in CONFIG_OF} | {"plain": {"rank": "1"}}
    table = configs_table({name: own for name, own in told.items() if name != "dora-rank8"}, CONFIG_OF).payload()
    shown = [column["key"] for column in table["columns"] if not column.get("hidden")]
    assert shown == ["config", "of_config", "settings", "rank"]
    rows = table["rows"]
    assert rows["of_config"] == ["lora", "lora", "dora", "plain"]
    assert rows["settings"] == [2, 2, 1, 1]


def test_table_of_configs_without_sweeps_has_no_such_columns():
    table = configs_table({"a": {"rank": "1"}, "b": {"rank": "2"}}).payload()
    assert [column["key"] for column in table["columns"]] == ["config", "rank"]
