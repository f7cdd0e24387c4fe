"""A Slurm for the tests of this folder, and the tiny experiment on it."""

from collections.abc import Iterator

import pytest

from cluster.clusters import PACKAGES, Cluster, missing_programs, running_cluster
from projects import Project


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """Two nodes with 4 CPUs and 2 GPUs each, of which the machine knows nothing."""
    if missing := missing_programs():
        pytest.skip(f"no {', '.join(missing)}: apt-get install --no-install-recommends {PACKAGES}")
    with running_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def slurm_project(new_project, cluster) -> Project:
    """The tiny experiment, nothing computed, every job a Slurm job."""
    new_project.arguments = cluster.arguments
    new_project.environment = cluster.environment
    return new_project
