"""Say what is still to be computed and what that will probably cost."""

import sys
from typing import TYPE_CHECKING

from loragrid.config.load import parse_config
from loragrid.grid.runs import Grid
from loragrid.layout import PLAN
from loragrid.planning.choices import describe_choices
from loragrid.planning.detectable import describe_detectable
from loragrid.planning.history import read_history
from loragrid.planning.jobs import planned_jobs
from loragrid.planning.left_out import describe_left_out
from loragrid.planning.model_sizes import parameters_of
from loragrid.planning.plan import machine_of, make_plan, write_plan
from loragrid.planning.plan_text import describe, folded
from loragrid.planning.settings import PlanSettings
from loragrid.planning.small_parts import describe_small_parts
from loragrid.planning.workload import workload
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    settings, config = PlanSettings.model_validate(dict(snakemake.params)), parse_config(snakemake.config)
    machine = machine_of(settings.cores, settings.jobs, settings.gpus)
    jobs = planned_jobs(snakemake.config, settings)
    history = read_history()
    parameters = {name: parameters_of(name, model) for name, model in config.models.items()}
    works, basis = workload(config, jobs, history)
    plan = make_plan(config, jobs, works, history, parameters, settings.rules, machine)
    grid = Grid(config)
    after = [*describe_choices(grid), *describe_left_out(grid), *describe_small_parts(grid), *folded(describe_detectable(grid))]
    text = "\n".join([describe(plan, basis, parameters, machine), *after])
    write_plan(plan, text, PLAN.of_experiment(config.experiment))
    print(text)
    print(text, file=screen, flush=True)
