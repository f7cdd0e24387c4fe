import json

import pytest

from loragrid.errors import UserError
from loragrid.scoring.scorers.bertscore import bertscore, read_baseline, rescale
from loragrid.scoring.scorers.sbert import sbert
from packaged import unpacked
from unit.scoring.answers import item, metrics


def aclsum_items(number):
    """Real sentences of papers with an expert's summary as reference."""
    with open(unpacked("aclsum==0.1.2", "aclsum/dataset/test.jsonl"), encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(number), strict=False)]
    return [item(row["sentences"]["abstract"][0], row["summary"]["challenge"]) for row in rows]


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


@pytest.mark.parametrize("layer", [None, 3])
def test_bertscore_agrees_with_the_package_bert_score(encoder, layer):
    from bert_score import BERTScorer

    # An unknown word counts, though its token is a special one.
    items = [*aclsum_items(12), item("An 🦙 ate it.", "A llama ate."), item("one", "a much longer text than that")]
    found = metrics(bertscore(encoder, layer, None), *items)
    theirs = BERTScorer(model_type=str(encoder), num_layers=layer or 6)
    expected = theirs.score([one.prediction for one in items], [one.references[0] for one in items])
    for name, values in zip(("precision", "recall", "f1"), expected, strict=True):
        assert [one[name] for one in found] == pytest.approx(values.tolist(), abs=1e-5)


def test_bertscore_tells_the_encoder_the_segments_that_its_tokenizer_gives(encoder, tmp_path):
    import shutil

    import torch
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoModel, AutoTokenizer

    folder = shutil.copytree(encoder, tmp_path / "encoder")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS]:1 $A:1 [SEP]:1", special_tokens=ends)
    tokenizer.save_pretrained(folder)
    # The class of BERT's tokenizer would put back its own way of marking segments.
    names = ["input_ids", "token_type_ids", "attention_mask"]
    other = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": names}
    settings = json.loads((folder / "tokenizer_config.json").read_text()) | other
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model = AutoModel.from_pretrained(folder).eval()

    def embed(text):
        tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
        assert set(tokens["token_type_ids"][0].tolist()) == {1}
        with torch.inference_mode():
            return torch.nn.functional.normalize(model(**tokens).last_hidden_state[0], dim=-1)

    text, reference = embed("A cat sat."), embed("Two dogs were running away.")
    similarity = text @ reference.T
    [found] = metrics(bertscore(folder, None, None), item("A cat sat.", "Two dogs were running away."))
    assert found["precision"] == pytest.approx(float(similarity.amax(1)[1:-1].mean()), abs=1e-5)
    assert found["recall"] == pytest.approx(float(similarity.amax(0)[1:-1].mean()), abs=1e-5)


def test_bertscore_of_a_text_with_itself_is_one_and_of_an_empty_one_zero(encoder):
    same, empty, long = metrics(
        bertscore(encoder, None, None), item("Some text.", "other", "Some text."), item("", "x"), item("word " * 2000, "word")
    )
    assert same == pytest.approx({"precision": 1, "recall": 1, "f1": 1}, abs=1e-5)
    assert set(empty.values()) == {0.0}
    assert 0 < long["f1"] < 1


def test_bertscore_is_the_same_for_an_answer_alone_and_among_others(encoder):
    items = aclsum_items(12)
    scorer = bertscore(encoder, None, None)
    assert metrics(scorer, items[3])[0] == pytest.approx(metrics(scorer, *items)[3], abs=1e-6)


def test_layer_that_an_encoder_does_not_have_is_refused(encoder):
    with pytest.raises(UserError, match="layer 7 is asked for, but minilm has 6"):
        bertscore(encoder, 7, None)


def test_rescaled_values_are_zero_at_the_baseline_and_one_at_one():
    values = {"precision": 0.4, "recall": 1.0, "f1": 0.2}
    assert rescale(values, [0.4, 0.5, 0.6]) == pytest.approx({"precision": 0, "recall": 1, "f1": -1})


def test_baseline_is_that_of_the_layer(tmp_path):
    path = tmp_path / "baseline.csv"
    path.write_text("LAYER,P,R,F\n0,0.1,0.2,0.3\n1,0.4,0.5,0.6\n")
    assert read_baseline(path, 0) == [0.1, 0.2, 0.3]
    assert read_baseline(path, None) == [0.4, 0.5, 0.6]
    with pytest.raises(UserError, match="a row for the layer"):
        read_baseline(path, 2)
