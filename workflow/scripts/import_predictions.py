"""Bring predictions that were made elsewhere into the form of our own."""

from typing import TYPE_CHECKING

from loragrid.data.external import external_prediction, match_answers, read_answers
from loragrid.data.rows import read_rows
from loragrid.data.splitting import subset
from loragrid.records import Example, read_records, write_records
from loragrid.runtime.files import file_sha256, write_json
from loragrid.runtime.job import git_commit, log, logged, versions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    path, axes, match = snakemake.input.file, snakemake.params.axes, snakemake.params.match
    test = read_records(snakemake.input.test, Example)
    evaluated = subset(test, snakemake.params.subset)
    rows = read_answers(read_rows(path), snakemake.params.key, snakemake.params.prediction)
    answers, ignored = match_answers(path, rows, test, evaluated, match)
    if ignored:
        log.info("%d rows ignored: they answer test examples outside the subset of %d", len(ignored), len(evaluated))
    write_records(
        snakemake.output.predictions,
        [external_prediction(axes, example, answer, match) for example, answer in zip(evaluated, answers, strict=True)],
    )
    write_json(
        snakemake.output.manifest,
        {
            "axes": axes,
            "file": path,
            "match": match,
            "templates": {match: snakemake.params.key, "prediction": snakemake.params.prediction},
            "subset": snakemake.params.subset,
            "stage_version": snakemake.params.version,
            "fingerprints": {"file": file_sha256(path), "test": file_sha256(snakemake.input.test)},
            "examples": len(evaluated),
            "ignored": len(ignored),
            "git_commit": git_commit(),
            "versions": versions(),
        },
    )
