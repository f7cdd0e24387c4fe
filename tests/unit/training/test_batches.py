from functools import partial

import pytest
import torch

from loragrid.data.render import make_renderer, pad_token, render, zero_shot
from loragrid.data.tokens import Tokenised, read_tokens, tokenise, write_tokens
from loragrid.models.sequences import cut_into_forward_passes
from loragrid.records import Turn
from loragrid.training.batches import Encoded, collate, collate_packed, common_beginning, encode, pack, share

LENGTHS = [5, 30, 8, 100, 7, 9, 31]


@pytest.fixture(scope="module")
def renderer(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture
def examples(make_example):
    return [make_example(str(i), input="word " * (3 * i), output=f"answer {'x ' * (i % 3)}{i}") for i in range(10)]


def encoded(renderer, examples, loss_computation="completion", max_length=512, loss_turns="last"):
    rows = tokenise(renderer, {"train": examples}).to_pylist()
    tokenised = {r["id"]: [Tokenised(r["prompt_ids"], r["answer_ids"], r.get("earlier_answers"))] for r in rows}
    return encode(renderer, examples, tokenised, loss_computation, max_length, loss_turns)


def test_completion_targets_are_the_answer_and_the_end_of_turn(renderer, examples):
    for example, item in zip(examples, encoded(renderer, examples)[0], strict=True):
        assert renderer.tokenizer.decode(item.ids[item.target_start :]) == example.output + "<|im_end|>"


def test_full_targets_are_everything_but_the_first_token(renderer, examples):
    assert [e.target_start for e in encoded(renderer, examples, "full")[0]] == [1] * len(examples)


TALK = [("user", "Hi!"), ("assistant", "Hello."), ("user", "You?"), ("assistant", "Fine."), ("user", "Bye.")]


def talk(make_example, name="talk", before=()):
    turns = [Turn(role=role, content=text) for role, text in (*before, *TALK)]
    return make_example(name, output="See you.", messages=turns)


def learnt(renderer, item):
    """The texts that are learnt, one for each stretch of tokens."""
    stretches = [*item.earlier, (item.target_start, len(item.ids))]
    return [renderer.tokenizer.decode(item.ids[start:end]) for start, end in stretches]


def test_conversation_has_its_last_answer_learnt_or_all_answers_each_with_its_end_of_turn(renderer, make_example):
    (of_last,), (of_all,) = (encoded(renderer, [talk(make_example)], loss_turns=which)[0] for which in ("last", "all"))
    assert learnt(renderer, of_last) == ["See you.<|im_end|>"]
    assert learnt(renderer, of_all) == ["Hello.<|im_end|>", "Fine.<|im_end|>", "See you.<|im_end|>"]
    assert of_all.ids == of_last.ids
    assert (
        of_all.nb_targets == len(of_all.target_places) == sum(end - start for start, end in of_all.earlier) + of_last.nb_targets
    )
    # What is shared with others ends before the first token that predicts something.
    assert of_all.shareable == of_all.ids[: of_all.earlier[0][0] - 1]


def test_first_token_of_all_is_no_target_even_if_a_template_marks_it_as_an_answer(renderer, make_example):
    tokenised = {"talk": [Tokenised([1, 2, 3, 4], [5, 6], [[0, 2]])]}
    (item,), _, _ = encode(renderer, [talk(make_example)], tokenised, "completion", 512, "all")
    assert (item.target_places, item.nb_targets, item.shareable) == ([1, 4, 5], 3, [])


def test_full_loss_counts_each_token_of_a_conversation_once(renderer, make_example):
    (item,), _, _ = encoded(renderer, [talk(make_example)], "full", loss_turns="all")
    assert item.target_places == list(range(1, len(item.ids)))


def test_conversation_that_is_cut_has_the_answers_learnt_that_are_left(renderer, make_example):
    long = talk(make_example, before=[("user", "one " * 60), ("assistant", "two " * 60)])
    (whole,), _, _ = encoded(renderer, [talk(make_example)], loss_turns="all")
    (item,), cut, dropped = encoded(renderer, [long], max_length=len(whole.ids), loss_turns="all")
    assert (item, cut, dropped) == (whole, ["talk"], [])


@pytest.mark.parametrize("collated", [partial(collate, pad=2), partial(collate_packed, share_beginning=True)])
def test_each_target_of_a_conversation_stands_behind_the_token_that_predicts_it(renderer, make_example, collated):
    items, _, _ = encoded(renderer, [talk(make_example), make_example("a"), talk(make_example, "b")], loss_turns="all")
    batch = collated(items)
    assert batch.targets.tolist() == [e.ids[place] for e in items for place in e.target_places]
    assert torch.equal(batch.input_ids.flatten()[batch.predicting + 1], batch.targets)
    assert batch.targets.tolist().count(renderer.end_of_turn) == 7


def test_what_is_cut_and_what_is_dropped_is_told_by_id(renderer, make_example):
    long_input, long_output = make_example("cut", input="word " * 300), make_example("dropped", output="word " * 300)
    found, cut, dropped = encoded(renderer, [make_example("fine"), long_input, long_output], max_length=120)
    assert (len(found), cut, dropped) == (2, ["cut"], ["dropped"])
    assert all(len(e.ids) <= 120 for e in found)


@pytest.mark.parametrize(
    "collated",
    [partial(collate, pad=2), partial(collate_packed, share_beginning=False), partial(collate_packed, share_beginning=True)],
)
@pytest.mark.parametrize("loss_computation", ["completion", "full"])
def test_each_target_stands_behind_the_token_that_predicts_it(renderer, examples, collated, loss_computation):
    items = encoded(renderer, examples, loss_computation)[0][:4]
    batch = collated(items)
    assert batch.targets.tolist() == [t for e in items for t in e.ids[e.target_start :]]
    assert torch.equal(batch.input_ids.flatten()[batch.predicting + 1], batch.targets)
    assert batch.targets.tolist().count(renderer.end_of_turn) >= len(items)


def test_padding_counts_by_length_even_though_it_equals_the_end_of_turn(renderer, examples):
    pad = pad_token(renderer)
    assert pad == renderer.end_of_turn
    items = encoded(renderer, examples)[0][:4]
    batch = collate(items, pad)
    for row, item in enumerate(items):
        assert batch.input_ids[row, : len(item.ids)].tolist() == item.ids
        assert batch.lengths[row].tolist() == [len(item.ids)] * len(item.ids) + [0] * (batch.input_ids.shape[1] - len(item.ids))
        start = row * batch.input_ids.shape[1]
        assert not set(range(start + len(item.ids) - 1, start + batch.input_ids.shape[1])) & set(batch.predicting.tolist())


def test_packed_examples_fill_one_row_and_each_counts_its_positions_from_0():
    batch = collate_packed([Encoded([5, 6, 7], 1), Encoded([8, 9], 1)], share_beginning=True)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.predicting.tolist() == [0, 1, 3]
    assert batch.targets.tolist() == [6, 7, 9]
    assert batch.bounds.tolist() == [0, 3, 5]


def test_what_packed_examples_begin_with_stands_once_before_what_follows_in_each():
    beginning = list(range(100, 120))
    batch = collate_packed([Encoded([*beginning, 5, 6, 7], 22), Encoded([*beginning, 8, 9], 21)], share_beginning=True)
    assert batch.input_ids.tolist() == [[*beginning, 5, 6, 7, 8, 9]]
    assert batch.position_ids.tolist() == [[*range(20), 20, 21, 22, 20, 21]]
    assert batch.predicting.tolist() == [21, 23]
    assert batch.bounds is None
    assert batch.targets.tolist() == [7, 9]
    assert batch.sections == [20, 3, 2]


def test_no_token_that_predicts_a_target_is_shared():
    beginning = list(range(100, 130))
    batch = collate_packed([Encoded([*beginning, 5], 25), Encoded([*beginning, 6], 30)], share_beginning=True)
    assert batch.sections == [24, 7, 7]


def test_few_tokens_in_common_are_not_worth_sharing():
    assert common_beginning([[1] * 15 + [2], [1] * 20]) == []
    assert common_beginning([[1] * 16 + [2], [1] * 20]) == [1] * 16


def cost(passes, lengths, forward_cost):
    return sum(len(one) * max(lengths[i] for i in one) + forward_cost for one in passes)


def every_division(order):
    for cuts in range(2 ** (len(order) - 1)):
        passes = [[order[0]]]
        for i, index in enumerate(order[1:]):
            if cuts >> i & 1:
                passes.append([])
            passes[-1].append(index)
        yield passes


@pytest.mark.parametrize("forward_cost", [0, 20, 10_000])
def test_no_other_division_by_length_costs_less(forward_cost):
    passes = cut_into_forward_passes(LENGTHS, 200, forward_cost)
    assert sorted(i for one in passes for i in one) == list(range(len(LENGTHS)))
    order = sorted(range(len(LENGTHS)), key=lambda i: LENGTHS[i])
    possible = [d for d in every_division(order) if all(len(one) * max(LENGTHS[i] for i in one) <= 200 for one in d)]
    assert cost(passes, LENGTHS, forward_cost) == min(cost(d, LENGTHS, forward_cost) for d in possible)


def test_what_is_longer_than_the_limit_is_a_pass_of_its_own():
    assert cut_into_forward_passes([100, 5, 6], 20, 50) == [[0], [1, 2]]


def test_rows_gather_examples_that_begin_alike_and_hold_more_of_them():
    one, other = [1] * 40, [2] * 40
    lengths, beginnings = [50, 50, 49, 49], [one, other, one, other]
    assert sorted(map(sorted, pack(lengths, beginnings, 60))) == [[0, 2], [1, 3]]
    assert pack([50] * 5, [one] * 5, 90) == [[0, 1, 2, 3, 4]]
    assert len(pack([50] * 5, [one] * 5, 89)) == 2


def test_packed_rows_hold_every_example_once_and_keep_to_the_limit():
    rows = pack(LENGTHS, [[]] * len(LENGTHS), 64)
    assert sorted(i for row in rows for i in row) == list(range(len(LENGTHS)))
    assert all(len(row) == 1 or sum(LENGTHS[i] for i in row) <= 64 for row in rows)
    assert len(rows) == 3


@pytest.mark.parametrize("nb_ranks", [1, 2, 3, 10])
def test_processes_share_all_examples_and_have_as_many_passes(nb_ranks):
    passes = cut_into_forward_passes(LENGTHS, 64, 64)
    shares = [share(passes, LENGTHS, rank, nb_ranks) for rank in range(nb_ranks)]
    assert len({len(one) for one in shares}) == 1
    assert sorted(i for of_rank in shares for one in of_rank for i in one) == list(range(len(LENGTHS)))


def test_tokenised_data_is_what_the_renderer_gives_and_only_wanted_examples_are_read(tmp_path, renderer, examples):
    write_tokens(tmp_path / "a.parquet", tokenise(renderer, {"train": examples[:6], "test": examples[6:]}))
    found = read_tokens([tmp_path / "a.parquet"], {e.id for e in examples[2:8]})
    assert set(found) == {e.id for e in examples[2:8]}
    for example in examples[2:8]:
        rendered = render(renderer, zero_shot(example), example.output, 10_000)
        assert found[example.id] == [Tokenised(rendered.prompt_ids, rendered.answer_ids)]


def test_each_prompt_of_an_example_is_learnt_with_its_own_answer(tmp_path, renderer, make_example):
    several = make_example("1").model_copy(update={"prompts": ["p", "q"], "output": ["x", "y"], "answers": "each"})
    joined = make_example("2").model_copy(update={"prompts": ["p", "q"], "answers": "joined"})
    write_tokens(tmp_path / "a.parquet", tokenise(renderer, {"train": [several, joined]}))
    tokenised = read_tokens([tmp_path / "a.parquet"], {"1", "2"})
    found, _, dropped = encode(renderer, [several, joined], tokenised, "completion", 512)
    texts = [renderer.tokenizer.decode(item.ids) for item in found]
    assert [text.rpartition("user\nAnswer.\n\n")[2] for text in texts] == [
        "p<|im_end|>\n<|im_start|>assistant\nx<|im_end|>",
        "q<|im_end|>\n<|im_start|>assistant\ny<|im_end|>",
    ]
    assert dropped == ["2"]
