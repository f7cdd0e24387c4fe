"""The workflow on a real Slurm."""


def one_task(config: dict) -> None:
    [block] = config["grid"]
    block |= {"tasks": ["shout"], "nb_samples": [4]}
    config["tasks"].pop("echo")


def test_models_and_predictions_are_the_same_bytes_as_those_of_a_local_run(slurm_project, cluster):
    slurm_project.edit_config(one_task)
    slurm_project.snakemake("predictions")
    for job in cluster.jobs().values():
        print(job["Comment"], job["JobState"], job["NumCPUs"], job["TRES"], job["TimeLimit"], job["RunTime"], job["NodeList"])
