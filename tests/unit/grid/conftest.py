"""A grid with every kind of job in it."""

import pytest

from loragrid.config.load import parse_config
from loragrid.grid.runs import Grid

FILES = {split: {"path": f"data/{split}.jsonl"} for split in ("train", "validation", "test")}
TASK = {
    "source": "words",
    "instruction": "Say it.",
    "input": "{{ word }}",
    "sample_types": {"gold": {"output": "{{ word }}"}, "silver": {"output": "{{ word }}"}},
    "scorers": ["rouge", "meaning"],
    "baselines": ["copy", "nearest"],
}
RAW = {
    "models": {"m": {"source": {"path": "m"}, "dtype": "float32"}, "served": {"engine": {"type": "openai", "api": "chat"}}},
    "encoders": {"e": {"source": {"package": "enc==1.0", "path": "x"}}},
    "sources": {"words": {"splits": FILES}, "packed": {"package": "d==2", "distribution": "source", "splits": FILES}},
    "tasks": {
        "t": TASK | {"prompt_variants": {"short": {"instruction": "Say", "system_prompt": "Be brief."}}, "subset": 5},
        "u": TASK | {"source": "packed", "cleaning": {"tokenizer": "m"}},
    },
    "mixes": {"alone": {"recipe": "target_only"}, "both": {"recipe": "fractional", "tasks": ["t", "u"]}},
    "configs": {
        "lora": {"rank": 4, "quantization": "8bit"},
        "full": {"method": "full"},
        "more": {"method": "continue", "adapter": "old"},
    },
    "scorers": {
        "rouge": {"type": "rouge"},
        "meaning": {"type": "sbert", "encoder": "e"},
        "ours": {"type": "custom", "function": "ours.py:score"},
    },
    "promptings": {"few": {"type": "few_shot", "k": 2}, "near": {"type": "retrieved", "k": 1, "encoder": "e"}},
    "decodings": {"warm": {"temperature": 1}},
    "grid": [
        {
            "base_models": ["m"],
            "tasks": ["t"],
            "sample_types": ["gold", "silver"],
            "mixes": ["alone", "both"],
            "nb_samples": [4],
            "configs": ["lora", "full", "more"],
            "evaluate_on": ["u"],
        },
        {"base_models": ["m"], "tasks": ["t"], "sample_types": ["gold"], "promptings": ["few", "near"], "decodings": ["warm"]},
        {"base_models": ["m"], "tasks": ["t"], "sample_types": ["gold"], "prompt_variants": ["short"]},
        {"base_models": ["served"], "tasks": ["t"], "sample_types": ["gold"]},
    ],
    "external_predictions": {"theirs": {"files": [{"path": "theirs.csv", "task": "t", "sample_type": "gold"}]}},
    "human_evaluations": {"people": {"tasks": ["t"], "criteria": {"good": {"question": "Good?"}}, "annotators": ["ann", "ben"]}},
    "hub": {"repository": "me/{task}-{config}"},
    "report": {"metric": "rouge/rougeL"},
}


@pytest.fixture(scope="session")
def make_grid():
    def make(is_stored: bool = False, **changes) -> Grid:
        return Grid(parse_config(RAW | changes), is_stored)

    return make


@pytest.fixture(scope="session")
def grid(make_grid) -> Grid:
    return make_grid()
