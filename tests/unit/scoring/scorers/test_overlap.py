import json

import pytest

from loragrid.scoring.protocol import Failed, add_up
from loragrid.scoring.registry import corpus_metrics
from loragrid.scoring.scorers.bleu import bleu
from loragrid.scoring.scorers.chrf import chrf
from loragrid.scoring.scorers.exact_match import exact_match
from loragrid.scoring.scorers.rouge import rouge
from loragrid.scoring.scorers.squad import squad
from loragrid.scoring.scorers.token_f1 import token_f1
from loragrid.text.answers import normalise_answer
from packaged import unpacked
from unit.scoring.answers import item, metrics


@pytest.fixture(scope="module")
def papers():
    """Of real papers the abstract's first sentence, and as references the summary of the challenge and the second sentence."""
    rows = [json.loads(line) for line in unpacked("aclsum==0.1.2", "aclsum/dataset/test.jsonl").open(encoding="utf-8")]
    return [item(row["sentences"]["abstract"][0], row["summary"]["challenge"], row["sentences"]["abstract"][1]) for row in rows]


def test_rouge_counts_n_grams_and_the_longest_common_subsequence():
    # 5 of 6 words and 3 of 5 pairs in common; the longest common subsequence has 5 words.
    [found] = metrics(rouge(stemmer=False), item("the cat sat on the mat", "the cat lay on the mat"))
    assert found == pytest.approx({"rouge1": 5 / 6, "rouge2": 3 / 5, "rougeL": 5 / 6, "rougeLsum": 5 / 6})


def test_rouge_stems_words_only_if_asked_to():
    assert metrics(rouge(stemmer=True), item("running dogs", "run dog"))[0]["rouge1"] == 1
    assert metrics(rouge(stemmer=False), item("running dogs", "run dog"))[0]["rouge1"] == 0


@pytest.mark.parametrize("stemmer", [True, False])
@pytest.mark.parametrize("tokenizer", ["default", "unicode"])
def test_rouge_of_english_texts_is_that_of_its_package(papers, stemmer, tokenizer):
    from rouge_score.rouge_scorer import RougeScorer

    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    package = RougeScorer(names, use_stemmer=stemmer)
    english = [one for one in papers if "".join((one.prediction, *one.references)).isascii()][:30]
    expected = [package.score_multi(one.references, one.prediction) for one in english]
    assert metrics(rouge(stemmer, tokenizer), *english) == [{name: one[name].fmeasure for name in names} for one in expected]


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("Кошка спит.", "кошка ест", 1 / 2),
        ("猫在睡觉。", "猫在吃饭", 2 / 4),
        ("बिल्ली सोती है", "बिल्ली खाती है", 2 / 3),
        ("แมว", "แมลง", 2 * 2 / 7),
        ("القط نائم", "القط يأكل", 1 / 2),
        ("고양이가 잔다", "고양이가 먹는다", 1 / 2),
        ("使用 GPU 训练模型", "使用 GPU 评估数据", 3 / 7),
    ],
)
def test_rouge_of_other_scripts_takes_their_words_and_says_so(prediction, reference, expected, caplog):
    assert metrics(rouge(True, "unicode"), item(prediction, reference))[0]["rouge1"] == pytest.approx(expected)
    with caplog.at_level("INFO"):
        [outcome] = rouge(True)([item(prediction, reference)])
    assert outcome.metrics["rouge1"] == pytest.approx(expected)
    assert outcome.detail == "tokenizer: unicode"
    assert "1 references are in another script than plain Latin: tokenizer: unicode" in caplog.text


@pytest.mark.parametrize("text", ["é", "ø", "१२३", "၁၂၃"])
def test_rouge_of_references_without_plain_latin_words_takes_all_words_and_says_so(text):
    [outcome] = rouge(True)([item(text, text)])
    assert (outcome.metrics["rouge1"], outcome.detail) == (1.0, "tokenizer: unicode")


def test_single_letters_of_another_script_do_not_change_the_tokenizer():
    [outcome] = rouge(True)([item("the β of x is here", "the β of y is here")])
    assert (outcome.metrics["rouge1"], outcome.detail) == (pytest.approx(4 / 5), None)


@pytest.mark.parametrize("reference", ["👍🎉", "?!", ""])
@pytest.mark.parametrize("tokenizer", ["default", "unicode"])
def test_reference_without_words_is_a_failure_of_rouge(reference, tokenizer):
    assert rouge(True, tokenizer)([item(reference, reference)]) == [
        Failed(f"the reference has no words to compare: '{reference}'")
    ]


def test_texts_that_look_alike_are_the_same_for_rouge_bleu_and_chrf():
    for scorer, metric, best in ((rouge(True), "rouge1", 1), (bleu("13a", False), "bleu", 100), (chrf(2), "chrf", 100)):
        assert metrics(scorer, item("A cafe\u0301", "A café"))[0][metric] == pytest.approx(best)


def test_rouge_unicode_stems_english_words():
    assert metrics(rouge(True, "unicode"), item("running naïvely", "runs naïvely"))[0]["rouge1"] == 1
    assert metrics(rouge(False, "unicode"), item("running naïvely", "runs naïvely"))[0]["rouge1"] == 0.5


def test_rouge_lsum_compares_sentences_only_if_asked_to():
    swapped = item("It rains. We stay.", "We stay. It rains.")
    assert metrics(rouge(False), swapped)[0]["rougeLsum"] == 0.5
    [cut] = metrics(rouge(False, split_sentences=True), swapped)
    assert (cut["rougeLsum"], cut["rougeL"]) == (1, 0.5)


def test_of_several_references_the_best_counts_for_each_metric():
    assert metrics(rouge(False), item("a b", "x y", "a b", "a z"))[0]["rougeL"] == 1
    assert metrics(exact_match(True), item("Yes.", "no", "yes")) == [{"exact_match": 1.0}]


@pytest.mark.parametrize(("tokenize", "lowercase"), [("13a", False), ("13a", True), ("intl", False), ("char", False)])
def test_bleu_is_that_of_sacrebleu_for_each_example_and_over_all(papers, tokenize, lowercase):
    import sacrebleu

    outcomes = bleu(tokenize, lowercase)(papers)
    settings = {"tokenize": tokenize, "lowercase": lowercase}
    expected = [sacrebleu.sentence_bleu(one.prediction, one.references, **settings).score for one in papers]
    assert [one.metrics["bleu"] for one in outcomes] == pytest.approx(expected, rel=1e-9)
    references = list(zip(*(one.references for one in papers), strict=True))
    over_all = sacrebleu.corpus_bleu([one.prediction for one in papers], references, **settings).score
    assert corpus_metrics("bleu", add_up(one.parts for one in outcomes)) == pytest.approx({"corpus_bleu": over_all}, rel=1e-9)
    assert over_all != pytest.approx(sum(expected) / len(expected), rel=0.01)


@pytest.mark.parametrize("tokenize", ["13a", "intl"])
@pytest.mark.parametrize(
    ("prediction", "reference", "chosen"),
    [
        ("今天天气很好，我们去公园散步。", "今天天气很好，我们去公园跑步。", "zh"),
        ("東京は日本の首都です。", "東京は日本の古都です。", "char"),
        ("กรุงเทพเป็นเมืองหลวง", "กรุงเทพเป็นเมืองใหญ่", "char"),
    ],
)
def test_bleu_of_scripts_without_spaces_takes_their_tokenizer_and_says_so(tokenize, prediction, reference, chosen):
    import sacrebleu

    [outcome] = bleu(tokenize, False)([item(prediction, reference)])
    expected = sacrebleu.sentence_bleu(prediction, [reference], tokenize=chosen).score
    assert outcome.metrics["bleu"] == pytest.approx(expected)
    assert expected > 50
    assert outcome.detail == f"tokenize: {chosen}"


@pytest.mark.parametrize(
    ("text", "detail"), [("القاهرة عاصمة مصر", None), ("서울은 한국의 수도이다.", None), ("GPT-4 (猫) is a large model", None)]
)
def test_bleu_of_scripts_with_spaces_keeps_its_tokenizer(text, detail):
    [outcome] = bleu("13a", False)([item(text, text)])
    assert (outcome.metrics["bleu"], outcome.detail) == (pytest.approx(100), detail)


@pytest.mark.parametrize("word_order", [0, 1, 2])
def test_chrf_is_that_of_sacrebleu_for_each_example_and_over_all(papers, word_order):
    from sacrebleu.metrics.chrf import CHRF

    package, outcomes = CHRF(word_order=word_order), chrf(word_order)(papers)
    expected = [package.sentence_score(one.prediction, one.references).score for one in papers]
    assert [one.metrics["chrf"] for one in outcomes] == pytest.approx(expected, rel=1e-9)
    references = list(zip(*(one.references for one in papers), strict=True))
    over_all = package.corpus_score([one.prediction for one in papers], references).score
    assert corpus_metrics("chrf", add_up(one.parts for one in outcomes)) == pytest.approx({"corpus_chrf": over_all}, rel=1e-9)


SHORT = [
    item(*texts)
    for texts in (("", "word"), ("(hi) a", "(hi) b"), ("x", "x"), ("abcdefgh", "a"), ("猫。", "猫 。"), ("a b c", "a b d"))
]


def test_bleu_of_short_texts_is_that_of_sacrebleu():
    import sacrebleu

    short = [one for one in SHORT if one.references[0].isascii()]
    outcomes = bleu("13a", False)(short)
    expected = [sacrebleu.sentence_bleu(one.prediction, one.references).score for one in short]
    assert [one.metrics["bleu"] for one in outcomes] == pytest.approx(expected, rel=1e-9)
    # No four words are in common.
    longer = [*short, item("a b c d", "a b c e")]
    parts = add_up(one.parts for one in bleu("13a", False)(longer))
    over_all = sacrebleu.corpus_bleu([one.prediction for one in longer], [[one.references[0] for one in longer]]).score
    assert over_all > 0
    assert corpus_metrics("bleu", parts) == pytest.approx({"corpus_bleu": over_all}, rel=1e-9)


def test_chrf_of_short_texts_is_that_of_sacrebleu():
    from sacrebleu.metrics.chrf import CHRF

    package, outcomes = CHRF(word_order=2), chrf(2)(SHORT)
    expected = [package.sentence_score(one.prediction, one.references).score for one in SHORT]
    assert [one.metrics["chrf"] for one in outcomes] == pytest.approx(expected, rel=1e-9)
    over_all = package.corpus_score([one.prediction for one in SHORT], [[one.references[0] for one in SHORT]]).score
    assert corpus_metrics("chrf", add_up(one.parts for one in outcomes)) == pytest.approx({"corpus_chrf": over_all}, rel=1e-9)


@pytest.mark.parametrize(("normalise", "expected"), [(True, 1.0), (False, 0.0)])
def test_exact_match_is_normalised_only_if_asked_to(normalise, expected):
    assert metrics(exact_match(normalise), item("The  answer!", "an answer")) == [{"exact_match": expected}]


@pytest.mark.parametrize(
    ("prediction", "reference"), [("", "A"), ("", "the"), ("", "-"), ("", "!!!"), ("5", "-5"), ("35", "3.5"), ("C", "C++")]
)
def test_reference_that_normalising_would_empty_or_change_is_compared_as_it_is(prediction, reference):
    assert metrics(exact_match(True), item(prediction, reference), item(reference, reference)) == [
        {"exact_match": 0.0},
        {"exact_match": 1.0},
    ]


def test_normalised_answer_has_no_case_punctuation_articles_or_extra_space():
    assert normalise_answer("  The U.S.A., a theme —  an APPLE") == "usa theme — apple"


@pytest.mark.parametrize(
    ("prediction", "references", "exact", "f1"),
    [
        # Normalising leaves these references their meaning, other than the official scripts.
        ("", ["A"], 0, 0),
        ("A", ["A"], 1, 1),
        ("35", ["3.5"], 0, 0),
        ("5 or so", ["-5 or so"], 0, 2 / 3),
        # The words are characters.
        ("东京", ["东京都"], 0, 0.8),
        # Computed by hand after the rules of the official scripts.
        ("Denver Broncos", ["Denver Broncos", "the Denver Broncos"], 1, 1),
        ("The Denver Broncos!", ["denver broncos"], 1, 1),
        ("Broncos of Denver", ["Denver Broncos"], 0, 0.8),
        ("in 1066", ["10th century", "1066"], 0, 2 / 3),
        ("the the cat cat", ["cat"], 0, 2 / 3),
        ("Rollo", ["William"], 0, 0),
        # Unanswerable: only the empty answer is right.
        ("", [""], 1, 1),
        ("", [], 1, 1),
        ("The.", [""], 1, 1),
        ("something", [""], 0, 0),
        ("", ["something"], 0, 0),
        ("", ["", "something"], 0, 0),
    ],
)
def test_squad_is_scored_as_officially(prediction, references, exact, f1):
    assert metrics(squad, item(prediction, *references)) == [pytest.approx({"exact_match": exact, "f1": f1})]


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("a b b c", "b B d", (2 / 4, 2 / 3, 4 / 7)),
        ("кошка, собака", "Собака", (1 / 2, 1, 2 / 3)),
        ("东京", "东京都", (1, 2 / 3, 4 / 5)),
        ("", "word", (0, 0, 0)),
        ("", "?!", (0, 0, 0)),
        ("?!", "?!", (1, 1, 1)),
        ("👍", "🎉", (0, 0, 0)),
        ("5", "-5", (0, 0, 0)),
        ("3.6", "3.5", (0, 0, 0)),
        ("1234 cats", "1,234 cats", (1, 1, 1)),
    ],
)
def test_token_f1_counts_words_of_any_script(prediction, reference, expected):
    assert tuple(metrics(token_f1, item(prediction, reference))[0].values()) == pytest.approx(expected)


def test_empty_predictions_are_scored():
    assert set(metrics(rouge(True), item("", "word"))[0].values()) == {0.0}
    assert metrics(exact_match(True), item("", "word")) == [{"exact_match": 0.0}]


def test_characters_of_no_width_make_no_other_translation():
    for scorer in (bleu("13a", False), chrf(0)):
        [outcome] = scorer([item("ye\u200bs, it is cafe\u0301", "yes, it is café")])
        assert outcome.metrics[next(iter(outcome.metrics))] == pytest.approx(100)
