"""Results that were copied without their times: what a dry run says of them, and how they count as up to date again."""

import re
import shutil

from projects import REPOSITORY, Project


def test_copy_without_times_is_taken_for_up_to_date_by_the_documented_command(finished, tmp_path):
    # As `cp -r`: what is copied later is newer. Inputs come last.
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copyfile, symlinks=True)
    model = folder / "results/models/tiny/model.safetensors"
    model.write_bytes(model.read_bytes())
    copy = Project(folder)
    said = copy.snakemake("-n")
    planned = said.stdout + said.stderr
    assert re.search(r"updated input files: .*\btrain 4\b", planned)
    assert re.search(r"If they were only copied[^:]*:\s+snakemake --touch", planned)

    [documented] = re.findall(
        r"^snakemake (.*--touch)", (REPOSITORY / "docs/how-to/when-something-fails.md").read_text(), re.MULTILINE
    )
    missing = folder / "results/exports"
    assert not missing.exists()
    scores = next(folder.glob("results/scores/*/*/*/*/rouge.jsonl"))
    scores.unlink()
    before = {path: path.read_bytes() for path in folder.glob("results/adapters/**/*") if path.is_file()}
    copy.snakemake(*documented.split())
    # What is missing stays missing, and nothing else is to do.
    assert not scores.exists()
    assert set(copy.planned()) == {"score", "describe_model", "analyse", "report"}
    assert before == {path: path.read_bytes() for path in before}
