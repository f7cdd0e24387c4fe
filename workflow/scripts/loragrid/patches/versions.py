"""The versions of a library that a patch is meant for."""

from __future__ import annotations


def is_snakemake_9() -> bool:
    """Whether this is Snakemake 9, whose insides the patches know."""
    import snakemake

    return str(snakemake.__version__).partition(".")[0] == "9"
