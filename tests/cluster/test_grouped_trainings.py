"""Several trainings in one allocation: one process does them, is interrupted, and goes on where it was."""

from contextlib import ExitStack

from cluster.test_interruptions import wait_for

STEPS = 300
GROUPED = {
    "#  - trainings_{base_model}=4": "  - trainings_{base_model}=4",
    "# groups:": "groups:",
    "#   - train=trainings_{base_model}": "  - train=trainings_{base_model}",
    "  #   jobs_per_process: 4": "    jobs_per_process: 4",
}
"""Lines of the profile, and what they are without their comment signs."""


def four_runs(config):
    config["configs"]["lora"] |= {"epochs": 10**6, "max_steps": STEPS, "evaluations": 2}
    config["models"]["tiny"]["resources"] = {"train": {"mem_mb": 2000}}


def adapters(project):
    return {file.parent.name: file.read_bytes() for file in project.files("adapters/**/adapter_model.safetensors")}


def logs(project):
    return {file.stem: file.read_text() for file in project.files("logs/adapters/**/*.log")}


def allow_groups(project):
    profile = project.folder / "profiles/slurm/config.yaml"
    lines = profile.read_text().splitlines()
    assert GROUPED.keys() <= set(lines)
    profile.write_text("\n".join(GROUPED.get(line, line) for line in lines) + "\n")


def second_training(project):
    """The log of work for another job that has begun its steps, if the process has finished its own."""
    if not adapters(project):
        return None
    ahead = [file for file in project.files(".state/ahead/train/*.log") if f"/{STEPS} " in file.read_text()]
    return ahead[-1] if ahead else None


def test_grouped_trainings_are_done_by_one_process_and_go_on_after_an_interruption(new_project, cluster):
    new_project.edit_config(four_runs)
    new_project.snakemake("adapters")
    expected = adapters(new_project)
    assert len(expected) == 4
    for file in (*new_project.files("adapters/**/*.*"), *new_project.files("logs/adapters/**/*.log")):
        file.unlink()

    allow_groups(new_project)
    new_project.arguments, new_project.environment = cluster.arguments, cluster.environment
    run = new_project.started("adapters", "--retries", "2")
    with ExitStack() as stack:
        stack.callback(run.kill)
        wait_for(lambda: second_training(new_project) or not run.is_running())
        [submission] = cluster.jobs_of("trainings_tiny", new_project.folder)
        cluster.call("scancel", str(submission))
        result = run.result(timeout_s=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert adapters(new_project) == expected

    submissions = cluster.jobs_of("trainings_tiny", new_project.folder).values()
    assert [job["JobState"] for job in submissions] == ["CANCELLED", "COMPLETED"]
    texts = logs(new_project)
    # What was finished before the interruption is not trained again, and only one process trains the rest.
    own = [name for name, text in texts.items() if "this was done ahead" not in text and "its result is taken" not in text]
    assert len(own) <= 1
    assert any("going on after step" in text for text in texts.values())
