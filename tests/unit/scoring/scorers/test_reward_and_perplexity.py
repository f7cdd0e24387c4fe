import math

import pytest

from loragrid.errors import UserError
from loragrid.models.importing import import_reward_model
from loragrid.scoring.encoding import fit
from loragrid.scoring.scorers.perplexity import mean_losses, perplexity
from loragrid.scoring.scorers.reward import conversation_encoder, pair_encoder, preference, reward
from unit.scoring.answers import item, metrics

ITEMS = [
    item("Yes, it does.", "No.", "It does.", instruction="Answer.", input="Does it fly?"),
    item("", "No.", instruction="Answer.", input=""),
    item("word " * 2000, "No."),
]


@pytest.fixture(scope="module")
def conversational(tokenizer, tmp_path_factory):
    """A random reward model with a chat template, imported from the standard layout."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("models") / "reward"
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=512, pad_token_id=2, num_labels=1, initializer_range=0.2, **shape
    )
    LlamaForSequenceClassification(config).save_pretrained(source)
    tokenizer.save_pretrained(source)
    folder.mkdir()
    import_reward_model(source, folder)
    return folder


@pytest.fixture(scope="module")
def pairwise_encoder(encoder, tmp_path_factory):
    """A classifier of pairs of texts: the sentence encoder with a random head."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("models") / "pairs"
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=2).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder


def one_by_one(folder, label, encode):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def value(question, answer):
        inputs = {name: torch.tensor([values[:512]]) for name, values in encode(tokenizer, question, answer).items()}
        with torch.inference_mode():
            return float(model(**inputs).logits[0, label])

    return value


def test_reward_model_reads_a_conversation_if_it_has_a_chat_template(conversational):
    def encode(tokenizer, question, answer):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return tokenizer.apply_chat_template(turns, return_dict=True)

    value = one_by_one(conversational, 0, encode)
    found = metrics(reward(conversational, 0), *ITEMS[:2])
    assert [one["reward"] for one in found] == pytest.approx(
        [value("Answer.\n\nDoes it fly?", "Yes, it does."), value("Answer.", "")], abs=1e-4
    )


def test_reward_model_without_a_chat_template_reads_a_pair(pairwise_encoder):
    value = one_by_one(pairwise_encoder, 1, lambda tokenizer, *pair: tokenizer(*filter(None, pair), truncation=True))
    first, _, long = metrics(reward(pairwise_encoder, 1), *ITEMS)
    question = "Answer.\n\nDoes it fly?"
    of_references = max(value(question, "No."), value(question, "It does."))
    assert first["reward"] == pytest.approx(value(question, "Yes, it does."), abs=1e-4)
    assert first["reference_reward"] == pytest.approx(of_references, abs=1e-4)
    assert first["preference"] == pytest.approx(1 / (1 + math.exp(of_references - first["reward"])), abs=1e-4)
    assert math.isfinite(long["reward"])


def test_control_tokens_that_an_answer_spells_are_text_for_a_reward_model(conversational, pairwise_encoder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(pairwise_encoder)
    ids = pair_encoder(tokenizer)("Does it fly?", "It [SEP] does.")["input_ids"]
    assert (ids.count(tokenizer.sep_token_id), tokenizer.decode(ids).count("[ sep ]")) == (2, 1)
    tokenizer = AutoTokenizer.from_pretrained(conversational)
    end = tokenizer.eos_token
    encode, plain = conversation_encoder(tokenizer, "r"), tokenizer.convert_tokens_to_ids(end)
    encoded = encode("Does it fly?", f"It does.{end}")
    assert encoded["input_ids"].count(plain) == encode("Does it fly?", "It does.")["input_ids"].count(plain)
    assert end in tokenizer.decode(encoded["input_ids"]).partition("It does.")[2]
    assert len(encoded["attention_mask"]) == len(encoded["input_ids"])


def test_reward_model_whose_template_loses_the_answer_is_refused(conversational):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(conversational)
    tokenizer.chat_template = "{{ messages[0].content }}"
    with pytest.raises(UserError, match=r"^reward_models.r: the tokenizer's chat template loses the answer\.$"):
        conversation_encoder(tokenizer, "r")


LONG, ANSWER = " ".join(f"word{i}" for i in range(2000)), "Yes, it does."


@pytest.mark.parametrize("model", ["conversational", "pairwise_encoder"])
def test_long_question_loses_its_beginning_and_leaves_the_answer_whole(model, request):
    folder = request.getfixturevalue(model)
    good, bad = reward(folder, 0)([item(ANSWER, "No.", input=LONG), item("Never ever.", "No.", input=LONG)])
    assert [list(one.truncated) for one in (good, bad)] == [["question"], ["question"]]
    # The answer counts, although the question alone is too long; and so does the end of the question.
    assert good.metrics["reward"] != pytest.approx(bad.metrics["reward"], abs=1e-6)
    [other] = reward(folder, 0)([item(ANSWER, "No.", input=f"{LONG} Really?")])
    assert good.metrics["reward"] != pytest.approx(other.metrics["reward"], abs=1e-6)


@pytest.mark.parametrize("model", ["conversational", "pairwise_encoder"])
def test_answer_that_is_too_long_by_itself_loses_its_end_and_leaves_some_of_the_question(model, request):
    folder = request.getfixturevalue(model)
    outcomes = reward(folder, 0)([item(LONG, "No.", input=text) for text in ("Why?", "How?", LONG)])
    assert [list(one.truncated) for one in outcomes] == [["prediction"], ["prediction"], ["prediction", "question"]]
    assert outcomes[0].metrics["reward"] != pytest.approx(outcomes[1].metrics["reward"], abs=1e-6)
    [reference] = reward(folder, 0)([item("No.", "Yes.", LONG, input="Why?")])
    assert list(reference.truncated) == ["reference"]


def test_question_and_answer_are_cut_to_what_fits(tokenizer):
    def nb_tokens(question, answer):
        return len(tokenizer(question).input_ids) + len(tokenizer(answer).input_ids) + 10

    short = fit(tokenizer, nb_tokens, "Why not?", ANSWER, 100)
    assert short == ("Why not?", ANSWER, ())
    fitted = fit(tokenizer, nb_tokens, LONG, ANSWER, 100)
    assert (fitted.answer, fitted.cut) == (ANSWER, ("question",))
    assert LONG.endswith(fitted.question)
    assert 90 < nb_tokens(fitted.question, fitted.answer) <= 100
    fitted = fit(tokenizer, nb_tokens, LONG, LONG, 100)
    assert (LONG.startswith(fitted.answer), LONG.endswith(fitted.question)) == (True, True)
    assert 90 < nb_tokens(fitted.question, fitted.answer) <= 100
    assert len(tokenizer(fitted.question).input_ids) == pytest.approx(25, abs=3)
    # Nothing fits beside what stands around them.
    assert fit(tokenizer, nb_tokens, LONG, LONG, 5)[:2] == ("", "")


def test_reward_model_is_told_which_token_belongs_to_the_question_and_which_to_the_answer(pairwise_encoder, tmp_path):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(pairwise_encoder)
    tokenizer = AutoTokenizer.from_pretrained(pairwise_encoder)
    assert tokenizer("Does it fly?", "Yes.").token_type_ids == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    # The second segment alone decides.
    model.bert.embeddings.token_type_embeddings.weight.data[1] = 5 * torch.randn(384, generator=torch.Generator().manual_seed(0))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    pairs = [
        item("Yes.", "No.", instruction="Does it fly?", input=""),
        item("Perhaps " * 20, "No.", instruction="Why?", input=""),
    ]
    value = one_by_one(tmp_path, 0, lambda tokenizer, *pair: tokenizer(*pair))
    without = one_by_one(tmp_path, 0, lambda tokenizer, *pair: {"input_ids": tokenizer(*pair).input_ids})
    first, second = metrics(reward(tmp_path, 0), *pairs)
    assert first["reward"] == pytest.approx(value("Does it fly?", "Yes."), abs=1e-4)
    assert second["reward"] == pytest.approx(value("Why?", "Perhaps " * 20), abs=1e-4)
    assert abs(first["reward"] - without("Does it fly?", "Yes.")) > 0.003


def test_reward_model_reads_texts_one_at_a_time_if_it_has_no_embedding_for_padding(conversational, tmp_path):
    import shutil

    from transformers import AutoTokenizer

    folder = shutil.copytree(conversational, tmp_path / "reward")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    assert tokenizer.pad_token_id == 49152
    found, expected = metrics(reward(folder, 0), *ITEMS), metrics(reward(conversational, 0), *ITEMS)
    assert [one["reward"] for one in found] == pytest.approx([one["reward"] for one in expected], abs=1e-4)


def test_language_model_has_no_rewards(tiny_model):
    with pytest.raises(UserError, match=r"has no weights for score\.weight.* A reward model needs a trained head"):
        reward(tiny_model, 0)


def test_output_that_a_reward_model_does_not_have_is_refused(pairwise_encoder):
    with pytest.raises(UserError, match="label 2 is asked for, but pairs has 2"):
        reward(pairwise_encoder, 2)


def test_preference_is_a_softmax_that_never_overflows():
    assert preference(1.0, 1.0) == 0.5
    assert preference(2.0, 1.0) == pytest.approx(math.e / (math.e + 1))
    assert (preference(9e5, 0.0), preference(0.0, 9e5)) == (1.0, 0.0)


def test_perplexity_is_that_of_each_text_by_itself(tiny_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)

    def alone(text):
        ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text).input_ids]])
        with torch.inference_mode():
            return math.exp(float(model(ids, labels=ids).loss))

    items = [item("A cat sat.", "Dogs bark at night, every night.", "x"), item("one two three", "A cat sat.")]
    first, second = metrics(perplexity(tiny_model, "float32"), *items)
    assert first == pytest.approx(
        {
            "perplexity": alone("A cat sat."),
            "reference_perplexity": min(alone("Dogs bark at night, every night."), alone("x")),
        },
        rel=1e-4,
    )
    assert second["reference_perplexity"] == pytest.approx(first["perplexity"], rel=1e-5)


def test_mean_loss_has_all_digits_with_a_large_vocabulary():
    import torch

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 24, 128_256, generator=generator) * 4
    targets, counts = torch.randint(0, 128_256, (2, 24), generator=generator), torch.ones(2, 24, dtype=torch.long)
    counts[1, 9:] = 0
    of_tokens = -torch.log_softmax(logits.double(), dim=-1).gather(2, targets[..., None])[..., 0]
    expected = [of_tokens[0].mean().item(), of_tokens[1, :9].mean().item()]
    assert mean_losses(logits, targets, counts).tolist() == pytest.approx(expected, abs=2e-6)


def test_text_without_tokens_has_no_perplexity(tiny_model):
    empty, long, unanswerable = perplexity(tiny_model, "float32")(
        [item("", "word"), item("word " * 2000, "word"), item("word", "")]
    )
    assert math.isnan(empty.metrics["perplexity"])
    assert empty.undefined["perplexity"] == "the answer has no tokens"
    assert empty.metrics["reference_perplexity"] == long.metrics["reference_perplexity"]
    assert math.isfinite(long.metrics["perplexity"])
    assert math.isnan(unanswerable.metrics["reference_perplexity"])
    assert [list(one.truncated) for one in (empty, long, unanswerable)] == [[], ["prediction"], []]
    assert unanswerable.undefined["reference_perplexity"] == "the reference has no tokens"
