"""True or false, with an explanation: generics ("birds fly") and exemplars for and against them.

The data (Allaway et al. 2023, arXiv:2205.11658) are two CSV files with the columns `generic` and `exemplar`.
"""

import csv
import math

import numpy as np

SEED = 10


def build(files, exemplars="first", subset_percent=100, test_share=0.1):
    """Statements to judge, two for each generic: one that an exemplar refutes and one that it supports.

    A negative exemplar e of a generic g ("penguins do not fly") refutes "All g" and supports "Not all g"; a positive one
    ("eagles fly") supports "Some g" and refutes "No g". Statements and exemplars are in lower case behind the first word.
    Negatives and positives are split apart, each by generic, so that no generic is in two splits.

    Args:
        files: paths of `negative` and `positive`.
        exemplars: `first`, one exemplar per generic, or `all`.
        subset_percent: use only this part of the generics.
        test_share: part of these that is for test.

    Returns:
        Rows with `statement`, `answer`, `polarity` (negative or positive) and `generic`, for train and test.
    """
    splits = {"train": [], "test": []}
    for polarity in ("negative", "positive"):
        of_generic = read_exemplars(files[polarity])
        generics = sorted(of_generic)
        if subset_percent < 100:
            generics = split(generics, 1 - subset_percent / 100)["train"]
        for name, chosen in split(generics, test_share).items():
            pairs = [(g, e) for g in chosen for e in (of_generic[g][:1] if exemplars == "first" else of_generic[g])]
            splits[name] += statements(pairs, polarity)
    return splits


def read_exemplars(path):
    """The exemplars of each generic, in the order of the file."""
    found = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["generic"], []).append(row["exemplar"])
    return found


def split(generics, test_share):
    """The first part of a random permutation is for test, the rest for train."""
    order = np.random.default_rng(SEED).permutation(len(generics))
    nb_test = math.ceil(test_share * len(generics))
    return {"test": [generics[i] for i in order[:nb_test]], "train": [generics[i] for i in order[nb_test:]]}


def statements(pairs, polarity):
    """Two statements for each generic and exemplar: all of the first kind, then all of the second."""
    kinds = {
        "negative": [("All {g}", "False, {e}"), ("Not all {g}", "True, {e}")],
        "positive": [("Some {g}", "True, some {e}"), ("No {g}", "False, some {e}")],
    }
    return [
        {
            "statement": statement.format(g=generic.lower()),
            "answer": answer.format(e=exemplar.lower()),
            "polarity": polarity,
            "generic": generic,
        }
        for statement, answer in kinds[polarity]
        for generic, exemplar in pairs
    ]
