"""The scorers that read how likely a model finds given texts."""

import math

import pytest

from loragrid.errors import UserError
from loragrid.records import Likelihood
from loragrid.scoring.protocol import Failed, Item, score_rows
from loragrid.scoring.registry import corpus_metrics, parse_scorer
from loragrid.scoring.scorer import ScorerInputs


def known(text, *logprobs, is_reference=False, id_="1", part=0):
    ids = list(range(len(logprobs)))
    of_example = {"id": id_, "part": part, "text": text, "is_reference": is_reference}
    return Likelihood(**of_example, prompt_tokens=3, token_ids=ids, logprobs=list(logprobs))


def scored(settings, items, *likelihoods):
    by_part = {}
    for one in likelihoods:
        by_part.setdefault((one.id, one.part), []).append(one)
    return parse_scorer(settings).build(ScorerInputs("s", likelihoods=by_part))(items)


def item(*references, id_="1", part=0, **fields):
    return Item(id_, "whatever the model wrote", references, part=part, **fields)


LIKELIHOOD = {"type": "likelihood"}


def test_loss_is_nats_for_each_token_and_bits_are_for_each_byte_of_the_text():
    [found] = scored(LIKELIHOOD, [item("né")], known("né", -1.0, -3.0, is_reference=True))
    assert found.metrics == {"loss": 2.0, "bits_per_byte": pytest.approx(4 / 3 / math.log(2))}


def test_of_several_references_the_one_with_the_lowest_loss_counts():
    texts = known("long", -1.0, -1.0, is_reference=True), known("ab", -1.5, is_reference=True), known("choice", -0.1)
    [found] = scored(LIKELIHOOD, [item("long", "ab")], *texts)
    assert found.metrics["loss"] == 1.0


def test_over_all_examples_tokens_and_bytes_are_summed_before_they_are_divided():
    texts = known("abcd", -1.0, -1.0, -1.0, -1.0, is_reference=True), known("x", -6.0, is_reference=True, id_="2")
    outcomes = scored(LIKELIHOOD, [item("abcd"), item("x", id_="2")], *texts)
    sums = {key: sum(one.parts[key] for one in outcomes) for key in ("nats", "tokens", "bytes")}
    found = corpus_metrics("likelihood", sums)
    assert found["perplexity"] == pytest.approx(math.exp(10 / 5))
    assert found["corpus_bits_per_byte"] == pytest.approx(10 / 5 / math.log(2))
    assert math.isnan(corpus_metrics("likelihood", {})["perplexity"])


def test_a_reference_without_tokens_has_no_likelihood():
    [found] = scored(LIKELIHOOD, [item("")], known("", is_reference=True))
    assert found == Failed("the reference has no tokens")


def test_each_prompt_of_an_example_has_likelihoods_of_its_own():
    texts = known("a", -1.0, is_reference=True), known("a", -2.0, is_reference=True, part=1)
    assert [one.metrics["loss"] for one in scored(LIKELIHOOD, [item("a"), item("a", part=1)], *texts)] == [1.0, 2.0]


def test_an_example_that_was_not_measured_is_an_error():
    with pytest.raises(UserError, match="no likelihood was measured for example 1"):
        scored(LIKELIHOOD, [item("a")], known("a", -1.0, is_reference=True, id_="2"))


LABELS = {"type": "choice", "choices": [" yes", " no thanks", " é"]}


def choice(*logprobs, settings=LABELS, texts=(" yes", " no thanks", " é"), references=("yes",), **fields):
    measured = [known(text, *of_text) for text, of_text in zip(texts, logprobs, strict=True)]
    [found] = scored(settings, [item(*references, **fields)], *measured)
    return found


def test_the_likeliest_choice_is_the_one_with_the_largest_sum():
    found = choice([-2.0, -1.0], [-1.0, -1.0, -1.5], [-2.9])
    assert found.detail == "é"
    assert found.metrics["accuracy"] == 0.0


def test_the_norm_divides_by_characters_and_bytes_of_a_choice_without_its_outer_space():
    # By characters: yes -1.0, no thanks -0.44, é -0.9; by bytes: é -0.45.
    found = choice([-3.0], [-4.0], [-0.9], references=("no thanks",))
    assert (found.metrics["accuracy"], found.metrics["accuracy_norm"], found.metrics["accuracy_bytes"]) == (0.0, 1.0, 1.0)
    found = choice([-3.0], [-4.4], [-0.9], references=("é",))
    assert (found.metrics["accuracy_norm"], found.metrics["accuracy_bytes"]) == (0.0, 1.0)


def test_of_equally_likely_choices_the_first_counts():
    assert choice([-1.0], [-1.0], [-1.0], references=("yes",)).metrics["accuracy"] == 1.0


def test_a_choice_of_which_the_tokenizer_makes_no_tokens_is_not_the_likeliest():
    measured = [known(" yes", -1.0), known(" no thanks"), known(" é", -2.0)]
    measured += [known(text, -1.0, id_="2") for text in LABELS["choices"]]
    outcomes = scored(LABELS, [item("yes"), item("yes", id_="2")], *measured)
    assert outcomes[0] == Failed("'no thanks' has no tokens")


def test_brier_is_the_squared_error_of_the_softmax_of_sums():
    weights = [math.exp(-1.0), math.exp(-2.0), math.exp(-3.0)]
    p = [weight / sum(weights) for weight in weights]
    found = choice([-1.0], [-2.0], [-3.0], references=("no thanks",))
    assert found.metrics["brier"] == pytest.approx(p[0] ** 2 + (p[1] - 1) ** 2 + p[2] ** 2)


def test_a_tiny_likelihood_is_no_overflow():
    assert choice([-1e6], [-2e6], [-3e6]).metrics["brier"] == 0.0


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy_in_each_bin():
    # Two examples in the bin from 0.9, one of them wrong, and one in the bin from 0.5.
    outcomes = [
        choice([-0.0], [-5.0], [-5.0]),
        choice([-0.0], [-5.0], [-5.0], references=("é",)),
        choice([-0.0], [-1.0], [-1.0]),
    ]
    sure, unsure = 1 / (1 + 2 * math.exp(-5)), 1 / (1 + 2 * math.exp(-1))
    sums = {}
    for outcome in outcomes:
        for key, value in outcome.parts.items():
            sums[key] = sums.get(key, 0) + value
    assert corpus_metrics("choice", sums)["ece"] == pytest.approx((abs(2 * sure - 1) + (1 - unsure)) / 3)
    assert math.isnan(corpus_metrics("choice", {})["ece"])


OF_EXAMPLE = {
    "type": "choice",
    "choices": ["{{ metadata.a }}", "{{ metadata.b }}", "{{ metadata.c }}"],
    "gold": "{{ metadata.gold }}",
}


def of_example(gold, c="7", references=("unread",), **more):
    metadata = {"a": "2", "b": "1", "c": c, "gold": gold}
    texts = [text for text in ("2", "1", c) if text]
    logprobs = [[-1.0], [-2.0], [-3.0]][: len(texts)]
    return choice(*logprobs, settings=OF_EXAMPLE | more, texts=texts, references=references, metadata=metadata)


def test_choices_and_the_right_one_are_templates_over_the_example():
    assert of_example("2", gold_is="text").metrics["accuracy"] == 1.0
    assert of_example(" 7 ").metrics["accuracy"] == 0.0


def test_the_right_choice_may_be_named_by_its_number_where_no_choice_has_such_a_text():
    assert of_example("0").metrics["accuracy"] == 1.0
    assert of_example("1").metrics["accuracy"] == 0.0, "the choice '1' is the second"


def test_a_choice_that_is_the_number_of_another_one_is_an_error_unless_it_is_said_what_is_meant():
    with pytest.raises(
        UserError, match=r"^scorers.s.gold: example 1: '2' is a choice, and the number of another one; say gold_is"
    ):
        of_example("2")
    # The first choice is '2' and the likeliest, the third is '7'.
    assert of_example("2", gold_is="text").metrics["accuracy"] == 1.0
    assert of_example("2", gold_is="number").metrics["accuracy"] == 0.0
    assert of_example("2", gold_is="number").metrics["brier"] == of_example("7").metrics["brier"]


def test_a_template_without_words_gives_no_choice():
    assert of_example("0", c="").metrics["accuracy"] == 1.0


def test_if_several_choices_are_right_any_will_do():
    found = choice([-1.0], [-2.0], [-3.0], references=("yes", "no thanks"))
    assert found.metrics["accuracy"] == 1.0
    assert found.metrics["brier"] == choice([-1.0], [-2.0], [-3.0], references=("yes",)).metrics["brier"]


def test_an_example_without_a_right_choice_fails_and_the_others_are_scored():
    measured = [known(text, -1.0, id_=id_) for id_ in ("1", "2") for text in LABELS["choices"]]
    outcomes = scored(LABELS, [item("maybe"), item("yes", id_="2")], *measured)
    assert outcomes[0] == Failed("'maybe' is none of the choices 'yes', 'no thanks', 'é'")
    assert outcomes[1].metrics["accuracy"] == 1.0


def test_references_that_are_never_a_choice_are_an_error():
    with pytest.raises(UserError, match=r"scorers.s: example 1: 'maybe' is none of the choices .*; all examples are like this"):
        scored(LABELS, [item("maybe")], *(known(text, -1.0) for text in LABELS["choices"]))


def test_choices_that_are_the_same_are_an_error():
    with pytest.raises(UserError, match="expected choices that differ, found '2', '1', '1'"):
        of_example("2", c="1")


def test_a_template_with_a_mistake_is_told_by_its_key():
    wrong = parse_scorer({"type": "choice", "choices": ["a", "{{ b"], "gold": "{% if %}"})
    assert [problem.partition(":")[0] for problem in wrong.problems(None)] == ["choices[1]", "gold"]


def test_rows_have_the_choice_in_words():
    measured = [known(text, -1.0 * i - 1) for i, text in enumerate(LABELS["choices"])]
    outcomes = scored(LABELS, [item("yes")], *measured)
    metrics = parse_scorer(LABELS).metrics_of_example({})
    rows = list(score_rows("s", metrics, [[item("yes")]], outcomes))
    assert [(row.metric, row.status) for row in rows] == [(metric, "ok") for metric in metrics]
    assert rows[0].detail == "yes"
