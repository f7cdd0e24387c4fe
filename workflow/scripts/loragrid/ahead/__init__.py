"""Work ahead: what a process that has loaded a model does for other jobs.

A job has its own work done by `own.work_on`. Then `following.follow` has the process do the work of other jobs of the same
Snakemake run (`plan`): those of the same base model whose inputs are there, and that nobody works on (`others`). What is finished
so waits in `store`, until the job takes it that it belongs to. What the jobs of a stage are, and how they compute, stands in
`stages`.
"""
