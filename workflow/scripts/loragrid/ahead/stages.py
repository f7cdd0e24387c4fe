"""The stages whose work may be done ahead: what their jobs are, what decides on their results, and how they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.ahead.told import Told
from loragrid.inference.checks import CheckFiles, CheckJob, check_model
from loragrid.inference.engine import EngineSettings, OpenEngine, open_engine
from loragrid.inference.job import PACKAGES, PredictFiles, PredictJob, predict_claimed
from loragrid.inference.likelihoods import MeasureFiles, MeasureJob, measure_claimed
from loragrid.inference.probing import ProbeFiles, ProbeJob, probe_model
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.settings import AskedModel, CheckSettings, MeasureSettings, PredictSettings, ProbeSettings
from loragrid.layout import TRAINING_STATES, folder_of
from loragrid.models.device import ALSO_COMPUTING, may_see_gpu
from loragrid.runtime.files import file_sha256
from loragrid.runtime.job import installed_versions, versions
from loragrid.runtime.model_folders import stated_content, whole_folder
from loragrid.sections import decisive, entry_of, with_speed
from loragrid.training.methods import entry_behind
from loragrid.training.settings import LIBRARIES, TrainingJob, TrainSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from loragrid.models.loading import LoadBase

RawConfig = Mapping[str, Any]
"""The configuration, as YAML gave it."""


class Means(NamedTuple):
    """With what a process computes."""

    load: LoadBase
    open_engine: OpenEngine


class Stage(NamedTuple):
    """A stage whose jobs work with a base model."""

    name: str
    describe: Callable[[Told, RawConfig], Any]
    """A job of the stage, as its package describes it."""
    result: Callable[[Any], str]
    """What a job makes, as its lock is named."""
    identity: Callable[[Any], dict[str, Any]]
    """All that decides on the result, besides the device: plain data, found out without torch."""
    loads: Callable[[Any], str]
    """What loads the model in the process of a job: the type of an engine; an empty text if nothing does."""
    computes_here: Callable[[Any], bool]
    """Whether the process of a job computes with a model, which needs a GPU where there is one."""
    kept_in: Callable[[Any, str], Any]
    """The same job, which leaves its outputs in a folder instead of their places."""
    run: Callable[[Any, Told, float, Callable[[], bool], Means], None]
    """Do the work. The arguments are the job, what it was told, the time of its start, whether another job was waited for that
    may have done the same, and the means."""


def identity_of(stage: Stage, job: Any, told: Told) -> dict[str, Any]:
    """Plain data that tells a result from all others.

    It tells a GPU from none, and not the number type that `dtype: auto` means on this device, nor the version of an engine in a
    process of its own. These are in the manifest.
    """
    has_gpu = told.resources.get("gpu") != 0 and may_see_gpu()
    return stage.identity(job) | {"stage": stage.name, "gpu": has_gpu}


def _describe_training(told: Told, config: RawConfig) -> TrainingJob:
    settings, given = TrainSettings.model_validate(told.params), told.input
    training = with_speed(settings.config, entry_behind(config, settings.run.config))
    return TrainingJob(
        settings=settings.model_copy(update={"config": training}),
        folder=folder_of(told.output["manifest"]),
        state=TRAINING_STATES,
        model=str(whole_folder(given["model"]) / "model.safetensors"),
        tokenizer=given["tokenizer"],
        train=given["train"],
        validation=given["validation"],
        tokens=given["tokens"],
        adapter=given.get("start", []),
        other_files=told.output.get("other_files"),
        threads=told.threads,
        keeps_finished=True,
        checkpoint_minutes=told.resources["checkpoint_minutes"],
        trackers=config.get("trackers", []),
    )


def _training_identity(job: TrainingJob) -> dict[str, Any]:
    return {
        "settings": decisive(job.settings),
        "files": [_hashes([job.train, job.validation, job.tokenizer]), _hashes(job.tokens), _hashes(job.adapter)],
        "model": stated_content(job.model_folder),
        "versions": versions(*LIBRARIES) | installed_versions(*ALSO_COMPUTING),
    }


def _train(job: TrainingJob, told: Told, started: float, has_waited: Callable[[], bool], means: Means) -> None:
    from loragrid.training.job import train_claimed

    train_claimed(job, told.resources.get("accelerate"), has_waited, means.load)


def _engine_of(told: Told, model: AskedModel, config: RawConfig) -> EngineSettings:
    return with_speed(model.engine, entry_of(config, "models", told.base_model).get("engine"))


def _model_files(told: Told) -> ModelFiles:
    return ModelFiles(*(told.input.get(file) for file in ModelFiles._fields))


def _contents(model: ModelFiles) -> list[Any]:
    """What the manifests of a base model and of an adapter state, None for what there is not."""
    return [stated_content(Path(file).parent) if file else None for file in (model.model, model.adapter)]


def _asking_identity(job: PredictJob | CheckJob | MeasureJob) -> dict[str, Any]:
    return {
        "settings": job.settings.model_dump(),
        "engine": job.engine.model_dump(),
        "test": file_sha256(job.files.test),
        "model": _contents(job.files.model),
        "versions": versions(*PACKAGES) | installed_versions(*ALSO_COMPUTING),
    }


def _describe_prediction(told: Told, config: RawConfig) -> PredictJob:
    settings = PredictSettings.model_validate(told.params)
    files = PredictFiles(
        predictions=told.output["predictions"],
        manifest=told.output["manifest"],
        test=told.input["test"],
        model=_model_files(told),
        train=told.input.get("train"),
        demonstrations=told.input.get("demonstrations"),
        known=told.input.get("known"),
    )
    return PredictJob(told.base_model, settings, _engine_of(told, settings.model, config), files, told.threads)


def _prediction_identity(job: PredictJob) -> dict[str, Any]:
    files = job.files
    others = [file_sha256(path) if path else None for path in (files.train, files.demonstrations, files.known)]
    return _asking_identity(job) | {"others": others}


def _predict(job: PredictJob, told: Told, started: float, has_waited: Callable[[], bool], means: Means) -> None:
    predict_claimed(job, started, means.open_engine, has_waited)


def _describe_measuring(told: Told, config: RawConfig) -> MeasureJob:
    settings = MeasureSettings.model_validate(told.params)
    files = MeasureFiles(
        likelihoods=told.output["likelihoods"],
        manifest=told.output["manifest"],
        test=told.input["test"],
        model=_model_files(told),
        train=told.input.get("train"),
        demonstrations=told.input.get("demonstrations"),
    )
    return MeasureJob(told.base_model, settings, _engine_of(told, settings.model, config), files, told.threads)


def _measuring_identity(job: MeasureJob) -> dict[str, Any]:
    others = [file_sha256(path) if path else None for path in (job.files.train, job.files.demonstrations)]
    return _asking_identity(job) | {"others": others}


def _measure(job: MeasureJob, told: Told, started: float, has_waited: Callable[[], bool], means: Means) -> None:
    measure_claimed(job, started, means.open_engine, has_waited)


def _describe_check(told: Told, config: RawConfig) -> CheckJob:
    settings = CheckSettings.model_validate(told.params)
    files = CheckFiles(result=told.output["check"], test=told.input["test"], model=_model_files(told))
    return CheckJob(told.base_model, settings, _engine_of(told, settings.model, config), files, told.threads)


def _check_identity(job: CheckJob) -> dict[str, Any]:
    return _asking_identity(job) | {"result": job.files.result}


def _check(job: CheckJob, told: Told, started: float, has_waited: Callable[[], bool], means: Means) -> None:
    check_model(job, means.open_engine, means.load)


def _describe_probe(told: Told, config: RawConfig) -> ProbeJob:
    files = ProbeFiles(result=told.output["probe"], text=_one(told.input["text"]), model=_model_files(told))
    return ProbeJob(told.base_model, ProbeSettings.model_validate(told.params), files, told.threads)


def _one(paths: str | list[str]) -> str:
    return paths if isinstance(paths, str) else paths[0]


def _probe_identity(job: ProbeJob) -> dict[str, Any]:
    return {
        "settings": job.settings.model_dump(),
        "text": file_sha256(job.files.text),
        "model": _contents(job.files.model),
        "result": job.files.result,
        "versions": versions(*PACKAGES) | installed_versions(*ALSO_COMPUTING),
    }


def _probe(job: ProbeJob, told: Told, started: float, has_waited: Callable[[], bool], means: Means) -> None:
    probe_model(job, means.open_engine)


def _hashes(paths: list[str]) -> list[str]:
    return [file_sha256(path) for path in paths]


TRAIN = Stage(
    name="train",
    describe=_describe_training,
    result=lambda job: str(job.folder),
    identity=_training_identity,
    loads=lambda job: "hf",
    computes_here=lambda job: True,
    kept_in=lambda job, folder: job.model_copy(update={"kept_in": folder}),
    run=_train,
)
PREDICT = Stage(
    name="predict",
    describe=_describe_prediction,
    result=lambda job: str(job.files.predictions),
    identity=_prediction_identity,
    loads=lambda job: "" if job.engine.is_server else str(job.engine.type),
    computes_here=lambda job: not job.engine.is_server,
    kept_in=lambda job, folder: job._replace(files=job.files._replace(kept_in=folder)),
    run=_predict,
)
MEASURE = Stage(
    name="measure_likelihoods",
    describe=_describe_measuring,
    result=lambda job: str(job.files.likelihoods),
    identity=_measuring_identity,
    loads=lambda job: "" if job.engine.is_server else str(job.engine.type),
    computes_here=lambda job: not job.engine.is_server,
    kept_in=lambda job, folder: job._replace(files=job.files._replace(kept_in=folder)),
    run=_measure,
)
CHECK = Stage(
    name="check",
    describe=_describe_check,
    result=lambda job: str(job.files.result),
    identity=_check_identity,
    loads=lambda job: str(job.engine.type) if job.computes_here and not job.engine.is_server else "",
    computes_here=lambda job: bool(job.computes_here),
    kept_in=lambda job, folder: job._replace(files=job.files._replace(kept_in=folder)),
    run=_check,
)
PROBE = Stage(
    name="probe",
    describe=_describe_probe,
    result=lambda job: str(job.files.result),
    identity=_probe_identity,
    loads=lambda job: "hf",
    computes_here=lambda job: True,
    kept_in=lambda job, folder: job._replace(files=job.files._replace(kept_in=folder)),
    run=_probe,
)
STAGES: Mapping[str, Stage] = {
    "train": TRAIN,
    "train_full": TRAIN,
    "predict": PREDICT,
    "measure_likelihoods": MEASURE,
    "check": CHECK,
    "probe": PROBE,
}
"""By rule."""


def load_base(
    folder: str | Path,
    dtype: str,
    quantization: str = "none",
    device: torch.device | None = None,
    *,
    to_change: bool = False,
) -> PreTrainedModel:
    """`load_base_model`, imported when it is needed."""
    from loragrid.models.loading import load_base_model

    return load_base_model(folder, dtype, quantization, device, to_change=to_change)


@contextmanager
def means_of(keeps: bool) -> Iterator[Means]:
    """The means of a process.

    Args:
        keeps: whether what is loaded is kept for further work.
    """
    if not keeps:
        yield Means(load_base, open_engine)
        return
    from loragrid.inference.kept_engines import kept_engines
    from loragrid.models.kept import kept_base

    with kept_base() as load, kept_engines(load) as kept_engine:
        yield Means(load, kept_engine)
