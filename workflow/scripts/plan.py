"""Say what is still to be computed and what that will probably cost."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.config.load import parse_config
from loragrid.planning.estimates import Machine, estimate
from loragrid.planning.history import read_history
from loragrid.planning.plan import describe, gpus_here, planned_jobs, write_plan
from loragrid.planning.workload import parameters_of, workload
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    config = parse_config(snakemake.config)
    rules, on_cluster, results = snakemake.params.rules, snakemake.params.jobs, Path("results")
    machine = (
        Machine(on_cluster, 0, cluster=True) if on_cluster else Machine(snakemake.params.cores, gpus_here(snakemake.params.gpus))
    )
    jobs = planned_jobs(snakemake.config, snakemake.params.snakefile, snakemake.params.rerun_triggers, rules)
    history = read_history(results)
    parameters = {name: parameters_of(name, model, results) for name, model in config.models.items()}
    works, basis = workload(config, jobs, history, results)
    plan = estimate(config, jobs, works, history, parameters, rules, machine)
    text = describe(plan, basis, parameters, machine)
    write_plan(plan, text, results)
    print(text)
    print(text, file=screen, flush=True)
