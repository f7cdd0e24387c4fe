from pathlib import Path

import pytest
import yaml

from loragrid.config import Config
from loragrid.grid import expand_evaluations, expand_grid, oversized_mixes, parse_variant

DEFAULT = yaml.safe_load((Path(__file__).parents[2] / "config" / "config.yaml").read_text())


def config(*blocks):
    return Config.from_mapping(DEFAULT | {"grid": [DEFAULT["grid"][0] | block for block in blocks]})


def test_block_is_the_product_of_its_axes():
    runs = expand_grid(config({"tasks": ["challenge", "outcome"], "nb_samples": [1, 2, 3], "seeds": [1, 2]}))
    assert len(runs) == 2 * 2 * 3 * 2
    assert {run.nb_samples for run in runs} == {1, 2, 3}


def test_blocks_are_united_without_duplicates():
    runs = expand_grid(config({"nb_samples": [8, 16]}, {"nb_samples": [16, 32], "tasks": ["outcome"]}))
    assert len(runs) == 3 * 2 * 2 + 2
    assert len(set(runs)) == len(runs)


def test_names_of_runs_tell_every_axis_apart():
    runs = expand_grid(config({"seeds": [1, 2], "loss_computations": ["completion", "full"], "nb_samples": [1, 11]}))
    assert len({run.name for run in runs}) == len(runs)
    assert runs[0].name == "challenge__manual__target_only__n1__lora__completion__seed1"


@pytest.mark.parametrize(("available", "sentences"), [(100, 0), (20, 1), (0, 2)])
def test_mix_larger_than_its_data_is_named_with_both_numbers(available, sentences):
    found = list(oversized_mixes(config({"nb_samples": [8, 32]}), {("outcome", "auto"): available}))
    assert len(found) == sentences
    if available == 20:
        assert found == ["grid[0].nb_samples[1]: 32 is more than the 20 training examples of task 'outcome', sample type 'auto'."]


def test_every_run_and_its_base_model_are_asked_in_every_way_of_their_block():
    promptings = {"few": {"type": "few_shot", "k": 2}}
    tasks = {name: task | {"prompt_variants": {21: {"instruction": "Other."}}} for name, task in DEFAULT["tasks"].items()}
    block = {"tasks": ["outcome"], "sample_types": ["auto"], "nb_samples": [4]}
    ways = {"promptings": ["zero_shot", "few"], "prompt_variants": ["default", "21"]}
    blocks = [DEFAULT["grid"][0] | block, DEFAULT["grid"][0] | block | ways]
    found = expand_evaluations(Config.from_mapping(DEFAULT | {"promptings": promptings, "tasks": tasks, "grid": blocks}))
    assert len(found) == len(set(found)) == 2 * 4
    assert [e.run for e in found[:4]] == ["base"] * 4
    assert [e.variant for e in found[:4]] == ["", "~zero_shot~21", "~few~default", "~few~21"]
    for one in found:
        assert parse_variant(one.run + one.variant) == (one.run, one.prompting, one.prompt)
