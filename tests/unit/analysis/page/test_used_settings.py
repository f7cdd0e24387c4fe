"""With which settings results were made."""

import json

from loragrid.analysis.page.used_settings import used_settings


def written(folder, name, manifest):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(manifest))
    return path


def training(rate):
    return {
        "run": {"base_model": "tiny", "config": "lora"},
        "config": {"learning_rate": rate, "max_steps": None, "target_modules": ["q", "v"], "dora": False},
        "model": {"dtype": "auto"},
    }


ASKED = {
    "axes": {"base_model": "tiny", "prompting": "zero_shot", "decoding": "greedy"},
    "model": {"dtype": "auto", "engine": {"type": "hf", "batch_tokens": None}},
    "prompting": {"type": "zero_shot"},
    "decoding": {"temperature": 0, "max_new_tokens": 40},
}
FOREIGN = {"axes": {"base_model": "external", "run": "theirs"}, "match": "id"}


def test_settings_are_those_of_the_manifests_and_of_the_configured_scorers(tmp_path):
    files = [written(tmp_path, "a", training(0.002)), written(tmp_path, "b", ASKED), written(tmp_path, "c", FOREIGN)]
    found = {(one.kind, one.name): one.settings for one in used_settings(files, {"judge": {"type": "judge", "prompt": "<b>?"}})}
    assert list(found) == [
        ("Training", "lora"),
        ("Base model", "tiny"),
        ("Prompting", "zero_shot"),
        ("Decoding", "greedy"),
        ("Scorer", "judge"),
    ]
    assert found["Training", "lora"] == {"learning rate": "0.002", "target modules": "q, v", "dora": "no"}
    assert found["Base model", "tiny"] == {"dtype": "auto", "engine type": "hf"}
    assert found["Decoding", "greedy"] == {"temperature": "0", "max new tokens": "40"}


def test_several_values_under_one_name_are_all_named(tmp_path):
    files = [written(tmp_path, "a", training(0.002)), written(tmp_path, "b", training(0.01))]
    assert used_settings(files, {})[0].settings["learning rate"] == "0.002 or 0.01"


def test_settings_stand_in_the_page_as_text(grid, tmp_path, without_code):
    grid.write_page(tmp_path / "report.html", scorers={"judge": {"prompt": "<i>How good?</i>"}})
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<summary>Scorer judge</summary>" in html
    assert "<td>&lt;i&gt;How good?&lt;/i&gt;</td>" in html
