import pytest

from answers import item, metrics
from loragrid.scorer_embeddings import sbert


def test_sbert_agrees_with_its_library_and_orders_by_meaning(encoder):
    from sentence_transformers import SentenceTransformer, util

    items = [
        item("A cat sat on the mat.", "A kitten was sitting on the rug."),
        item("Stocks fell sharply on Monday.", "A kitten was sitting on the rug."),
        item("", "word"),
        item("A cat sat on the mat.", "x", "A cat sat on the mat."),
    ]
    values = [found["cosine"] for found in metrics(sbert(encoder), *items)]
    model = SentenceTransformer(str(encoder))
    one_by_one = [
        max(float(util.cos_sim(model.encode(one.prediction), model.encode(r))) for r in one.references) for one in items
    ]
    assert values == pytest.approx(one_by_one, abs=1e-5)
    assert values[0] > values[1] + 0.3
    assert values[3] == pytest.approx(1, abs=1e-5)
