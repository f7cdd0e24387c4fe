import pytest

from loragrid.data.prompting import FewShot, Retrieved, few_shot, make_request, retrieved
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


@pytest.fixture
def counting(monkeypatch):
    """A sentence encoder by the letters of a text, in the place of a real one."""
    import numpy as np
    import sentence_transformers

    class Counting:
        tokenizer = None

        def __init__(self, *_, **__):
            pass

        def __getitem__(self, _):
            return None

        def encode(self, texts, **_):
            counts = np.array([[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], dtype=float)
            return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", Counting)


@pytest.fixture
def reworded(make_example):
    """Test examples, and training examples about the same passages in other words, among others."""
    passages = [f"a passage about the {thing} and its long history" for thing in ("bridge", "castle", "market", "harbour")]
    tests = [
        make_example(f"t{i}", instruction="Who built it?", input=text, output=f"name {i}") for i, text in enumerate(passages)
    ]
    twins = [
        make_example(f"twin{i}", instruction="Name the builder.", input=f" {text.upper()}", output=f"name {i}")
        for i, text in enumerate(passages)
    ]
    others = [make_example(f"other{i}", input=text) for i, text in enumerate(("zoo", "jazz quiz", "a passage on boats"))]
    return tests, [*twins, *others]


@pytest.mark.parametrize(
    "prompting", [FewShot(type="few_shot", k=3), Retrieved(type="retrieved", k=3, encoder="e")], ids=["few_shot", "retrieved"]
)
def test_no_prompt_shows_what_the_test_set_holds(reworded, prompting, counting, tmp_path):
    chosen = prompting.choose(*reworded, tmp_path)
    assert {id_ for ids in chosen.values() for id_ in ids} == {"other0", "other1", "other2"}
    assert set(chosen) == {"t0", "t1", "t2", "t3"}


def test_too_few_demonstrations_say_how_many_the_test_set_holds(reworded, counting, tmp_path):
    with pytest.raises(UserError) as caught:
        FewShot(type="few_shot", k=4).choose(*reworded, None)
    assert str(caught.value) == (
        "demonstrations: 4 examples are asked for, but there are only 3. "
        "4 of 7 are left out because a test set holds them too (same question: 4)."
    )
    tests, train = reworded
    with pytest.raises(UserError, match=r"there are no training examples to show\. 4 of 4 are left out because a test set holds"):
        Retrieved(type="retrieved", k=1, encoder="e").choose(tests, train[:4], tmp_path)


def test_demonstrations_with_an_answer_of_the_test_set_are_left_out_on_request(make_example):
    tests = [make_example("t", output="the answer has five words")]
    train = [make_example("1", output="The answer has five words"), make_example("2")]
    assert set(FewShot(type="few_shot", k=2).choose(tests, train, None)["t"]) == {"1", "2"}
    assert FewShot(type="few_shot", k=1, leaks_by_output=True).choose(tests, train, None) == {"t": ["2"]}


def test_few_shot_shows_the_same_questions_for_all_sample_types(make_example):
    manual = [make_example(f"m{i}", output=f"by hand {i}", input=f"letter {i}") for i in range(30)]
    auto = [make_example(f"a{11 * i % 30}", output=f"by rule {i}", input=f"letter {i}") for i in range(30)]
    shown = []
    for train in (manual, auto):
        inputs = {example.id: example.input for example in train}
        shown.append([inputs[id_] for id_ in FewShot(type="few_shot", k=5).choose([make_example("t")], train, None)["t"]])
    assert shown[0] == shown[1]
