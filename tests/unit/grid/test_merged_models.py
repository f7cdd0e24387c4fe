"""Base models that are runs merged into their base models: which there can be."""

import pytest

from loragrid.grid.impossible_jobs import impossible_merges

RUN = "t__gold__alone__n4__lora__completion__seed1"
MODELS = {"m": {"source": {"path": "m"}}, "served": {"engine": {"type": "openai", "api": "chat"}}}


def merged(run=RUN, base_model="m"):
    return {"source": {"merged": run, "base_model": base_model}}


def problems(make_grid, configs=None, **models):
    return list(impossible_merges(make_grid(models=MODELS | models, **({"configs": configs} if configs else {}))))


def test_run_of_the_grid_can_be_a_base_model(make_grid):
    assert problems(make_grid, both=merged()) == []


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            merged(RUN.replace("lora", "lara")),
            "models.both.source.merged: unknown run of base model 'm': 't__gold__alone__n4__lara__completion__seed1'; did you mean '",
        ),
        (merged(base_model="n"), "models.both.source.base_model: unknown base model 'n'; "),
        (merged(base_model="served"), "models.both.source.merged: unknown run of base model 'served': "),
        (merged(base_model="both"), "models.both.source.merged: unknown run of base model 'both': "),
    ],
)
def test_run_that_the_grid_does_not_have_is_named_with_the_nearest_one(make_grid, source, sentence):
    [found] = problems(make_grid, both=source)
    assert found.startswith(sentence)


def test_what_learns_no_change_of_weights_is_not_merged(make_grid):
    configs = {name: {"method": "prompt_tuning"} if name == "lora" else {"method": "full"} for name in ("lora", "full", "more")}
    [found] = problems(make_grid, configs, both=merged())
    assert found == (
        f"models.both.source.merged: '{RUN}' cannot be merged: configs.lora learns what stands beside the weights, not a change of "
        "them."
    )


def test_what_the_base_model_says_of_prompts_is_said_for_the_merged_run_too(make_grid):
    asked = {"m": MODELS["m"] | {"system_prompt": "Be brief.", "prompt_format": "chat"}}
    [found] = problems(make_grid, **asked, both=merged())
    assert found.startswith(
        "models.both: expected prompt_format, system_prompt here too: 'm' has it, and its run was trained with"
    )
    assert problems(make_grid, **asked, both=merged() | {"system_prompt": None, "prompt_format": "chat"}) == []


def test_model_cannot_be_made_of_itself(make_grid):
    block = make_grid().config.grid[0].model_dump(mode="json", exclude_unset=True)
    models = {"a": merged(base_model="b"), "b": merged(base_model="a")}
    grid = make_grid(models=MODELS | models, grid=[block | {"base_models": ["m", "a", "b"]}])
    assert list(impossible_merges(grid)) == [
        "models.a.source.base_model: 'a' would be made of itself.",
        "models.b.source.base_model: 'b' would be made of itself.",
    ]


def test_encoder_cannot_be_a_run(make_grid):
    [found] = impossible_merges(make_grid(encoders={"e": merged()}))
    assert found == "encoders.e.source.merged: a run is a language model; only a base model can be one."
