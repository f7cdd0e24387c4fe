import pytest

from loragrid.records import ACCOUNT, Prediction, Score, write_records


@pytest.fixture
def predictions(tmp_path):
    """Base and one run, three examples each, as files in the layout of the results."""
    trained = {"trained_task": "t", "trained_sample_type": "s", "mix": "target_only", "nb_samples": 8, "config": "lora"}
    trained |= {"loss_computation": "completion", "seed": 1}
    common = {"task": "t", "sample_type": "s", "base_model": "m", "prompt": "?", "prediction": "a", "reference": "b"}
    common |= {
        "queue_s": 2.0,
        "compute_s": 3.0,
        "prompt_tokens": 3,
        "new_tokens": 4,
        "batch_size": 2,
        "engine": "e",
        "engine_version": "1",
    }
    for run, axes, seconds in (("base", {}, 1.0), ("t__s__x", trained, 0.5)):
        records = [
            Prediction(id=i, run=run, runtime_s=seconds, finish_reason="length" if i == "1" else "stop", **axes, **common)
            for i in "123"
        ]
        write_records(tmp_path / f"predictions/t/s/m/{run}.jsonl", records)
    return sorted((tmp_path / "predictions/t/s/m").iterdir())


@pytest.fixture
def scores(tmp_path):
    for run, values in (("base", [0.0, 0.5, 1.0]), ("t__s__x", [0.5, None, 1.0])):
        rows = [
            Score(id=i, scorer="r", metric="x", value=v, status="ok" if v is not None else "failed")
            for i, v in zip("123", values, strict=True)
        ]
        write_records(tmp_path / f"scores/t/s/m/{run}/r.jsonl", rows)
    return sorted((tmp_path / "scores").rglob("*.jsonl"))


@pytest.fixture
def with_external(tmp_path, predictions, scores):
    """The same with external predictions, compared with the base model, and others that stand by themselves."""
    unknown = dict.fromkeys(ACCOUNT)
    common = {"task": "t", "sample_type": "s", "prompt": "?", "prediction": "a", "reference": "b", "engine": "external"}
    for base_model in ("m", "external"):
        records = [Prediction(id=i, base_model=base_model, run="theirs", engine_version="", **common, **unknown) for i in "123"]
        write_records(tmp_path / f"predictions/t/s/{base_model}/theirs.jsonl", records)
        rows = [Score(id=i, scorer="r", metric="x", value=0.75) for i in "123"]
        write_records(tmp_path / f"scores/t/s/{base_model}/theirs/r.jsonl", rows)
    return [sorted((tmp_path / name).rglob("*.jsonl")) for name in ("predictions", "scores")]
