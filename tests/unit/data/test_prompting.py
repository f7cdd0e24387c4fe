import pytest

from loragrid.data.prompting import few_shot, make_request, retrieved
from loragrid.errors import UserError


@pytest.fixture
def train(make_example):
    texts = ["The stock market fell.", "My cat sleeps all day.", "Rain is expected tomorrow.", "The dog chased a ball."]
    return [make_example(str(i), input=text) for i, text in enumerate(texts)]


def test_few_shot_shows_the_same_examples_to_all_and_more_contain_fewer(train, make_example):
    tests = [make_example("t1"), make_example("t2")]
    chosen = few_shot(tests, train, 3, seed=1)
    assert chosen["t1"] == chosen["t2"]
    assert len(set(chosen["t1"])) == 3
    assert few_shot(tests, train, 2, seed=1)["t1"] == chosen["t1"][:2]
    with pytest.raises(UserError, match="5 examples are asked for, but there are only 4"):
        few_shot(tests, train, 5, seed=1)


def test_retrieved_examples_are_the_nearest_in_meaning_the_nearest_first(train, make_example, encoder):
    tests = [make_example("t1", input="A kitten is napping."), make_example("t2", input="Share prices dropped sharply.")]
    chosen = retrieved(tests, train, 2, encoder)
    assert chosen["t1"] == ["1", "3"]
    assert chosen["t2"][0] == "0"


def test_without_training_examples_there_is_nothing_to_show(make_example, tmp_path):
    with pytest.raises(UserError, match="there are only 0"):
        few_shot([make_example("t")], [], 1, seed=1)
    with pytest.raises(UserError, match="there are no training examples to show"):
        retrieved([make_example("t")], [], 1, tmp_path)


def test_prompt_variant_rewords_the_question_and_its_demonstrations(train, make_example):
    example = make_example("t", input="x").model_copy(update={"metadata": {"lang": "German"}})
    shown = train[0].model_copy(update={"metadata": {"lang": "French"}})
    request = make_request(example, "{{ instruction }} In {{ metadata.lang }}.", [shown])
    assert (request.instruction, request.input) == ("Answer. In German.", "x")
    assert request.demonstrations[0].instruction == "Answer. In French."
    assert make_request(example, None, []).instruction == "Answer."
