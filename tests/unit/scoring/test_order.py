"""Values of scorers with a model are the same bit by bit, in whatever order and company answers are scored."""

import random

import pytest

from loragrid.models.rope import Stretch
from loragrid.models.sequences import alike_batches, width_of_batch
from loragrid.scoring.scorers.bertscore import bertscore
from loragrid.scoring.scorers.perplexity import perplexity
from loragrid.scoring.scorers.reward import reward
from loragrid.scoring.scorers.sbert import sbert
from unit.scoring.answers import item

WORDS = ["apple", "river", "stone", "cloud", "tiger", "music", "paper", "light", "green", "seven", "ocean", "bread"]


def some_items(chance, number):
    def text(longest):
        return " ".join(chance.choices(WORDS, k=chance.randint(1, longest)))

    return [item(text(30), text(12), text(50), instruction="Say it.", input=text(9)) for _ in range(number)]


@pytest.fixture(scope="module")
def reward_model(encoder, tmp_path_factory):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("models") / "pairs"
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder


@pytest.fixture(params=["perplexity", "sbert", "bertscore", "reward"])
def score(request):
    folder = request.getfixturevalue(
        {"perplexity": "tiny_model", "sbert": "encoder", "bertscore": "encoder", "reward": "reward_model"}[request.param]
    )
    build = {
        "perplexity": lambda: perplexity(folder, "float32"),
        "sbert": lambda: sbert(folder),
        "bertscore": lambda: bertscore(folder, None, None),
        "reward": lambda: reward(folder, 0),
    }
    return build[request.param]()


def test_value_depends_on_nothing_that_is_scored_beside_it(score):
    chance = random.Random(3)
    items = some_items(chance, 8)
    together = [outcome.metrics for outcome in score(items)]
    backwards = [outcome.metrics for outcome in score(items[::-1])][::-1]
    among_others = [outcome.metrics for outcome in score([*some_items(chance, 5), *items, *some_items(chance, 3)])][5:13]
    alone = [outcome.metrics for one in items[:3] for outcome in score([one])]
    assert together == backwards == among_others
    assert together[:3] == alone


def test_batches_of_a_width_have_the_same_shape_and_hold_every_sequence():
    lengths = [3, 8, 9, 8, 70, 3, 3, 500, 512]
    batches = alike_batches(lengths, 32, longest=512)
    assert sorted({i for indices, _ in batches for i in indices}) == list(range(9))
    assert {(width, len(indices)) for indices, width in batches} == {(512, 1), (80, 1), (16, 2), (8, 4)}
    # Those that need no padding are by themselves: attention without a mask is computed in another way.
    assert [indices for indices, width in batches if width == 8] == [[1, 3, 1, 1], [0, 5, 6, 0]]
    assert alike_batches([], 32, longest=512) == []


def test_width_never_exceeds_what_a_model_reads_and_never_stretches_its_positions():
    assert [width_of_batch(length, 512) for length in (1, 64, 65, 130, 257)] == [8, 64, 80, 160, 320]
    assert width_of_batch(509, 510) == 509
    assert width_of_batch(100, 512, [Stretch(102, grows=False)]) == 100
    assert width_of_batch(103, 512, [Stretch(102, grows=False)]) == 112
