import math

import pytest

from loragrid.errors import UserError
from loragrid.models.importing import import_reward_model
from loragrid.scoring.protocol import Failed
from loragrid.scoring.scorers.perplexity import perplexity
from loragrid.scoring.scorers.reward import preference, reward
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
    found = metrics(reward(conversational, 0), *ITEMS)
    assert [one["reward"] for one in found] == pytest.approx(
        [value("Answer.\n\nDoes it fly?", "Yes, it does."), value("Answer.", ""), value("", "word " * 2000)], abs=1e-4
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


def test_text_without_tokens_has_no_perplexity(tiny_model):
    empty, long = perplexity(tiny_model, "float32")([item("", "word"), item("word " * 2000, "word")])
    assert empty == Failed("the answer has no tokens")
    assert math.isfinite(long.metrics["perplexity"])
