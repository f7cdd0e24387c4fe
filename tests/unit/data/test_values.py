from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from loragrid.data.values import plain
from loragrid.runtime.templates import fill_from_row


@pytest.mark.parametrize(
    "missing", [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NA, pd.NaT, Decimal("NaN")], ids=repr
)
def test_what_is_missing_is_none_whoever_says_so(missing):
    assert plain({"a": missing, "b": [missing], "c": {"d": missing}}) == {"a": None, "b": [None], "c": {"d": None}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (np.float32(3), "3"), (np.int64(4), "4"), (-2.0, "-2"), (2.5, "2.5"), (np.float32(0.1), "0.1"), (1e22, "1e+22"),
        (True, "true"), (np.bool_(False), "false"), (b"caf\xc3\xa9", "café"), (Decimal("1.00"), "1.00"), (date(2024, 1, 2), "2024-01-02"),
        ("1.0", "1.0"), ("None", "None"), (float(np.float32(3.8)), "3.8"), (float(np.float32(-1.2e-7)), "-1.2e-07"),
        (float(np.float32(1 / 3)), "0.33333334"), (1 / 3, "0.3333333333333333"), (0.1 + 0.2, "0.30000000000000004"),
        (1 / 8192, "0.0001220703125"), (1e300 / 3, "3.3333333333333335e+299"), (float("inf"), "inf"),
    ],
    ids=repr,
)  # fmt: skip
def test_value_of_a_row_has_the_text_that_its_source_had(value, text):
    assert fill_from_row("{{ a }}", plain({"a": value})).text == text


def test_label_that_a_gap_made_a_float_is_an_index_again():
    labels = pd.DataFrame({"label": [1, None, 0]}).to_dict("records")
    assert [fill_from_row("{{ ['no', 'yes'][label] if label is not none }}", plain(row)).text for row in labels] == [
        "yes",
        "",
        "no",
    ]


def test_bytes_may_be_decoded_by_the_template_too():
    assert fill_from_row("{{ a.decode('latin-1') }} {{ b.decode() }}", plain({"a": b"\xe9", "b": b"x"})).text == "é x"


def test_arrays_are_lists():
    assert plain(np.array([[1.0, np.nan]])) == [[1, None]]
