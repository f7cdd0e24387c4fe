"""The answer browser: every answer can be found, read and sent."""

import pytest

from report_pages import HOSTILE, answers_of, whole_table


@pytest.fixture(scope="module")
def part(page_folder):
    return answers_of((page_folder / "report.html").read_text(), "challenge")


def at(page):
    """Which question is looked at, and of how many."""
    page.locator(".step .position").wait_for()
    return page.locator(".step .position").inner_text(), page.locator(".asked code").inner_text()


def gains(part, first, second):
    """B minus A in the main metric, by question."""
    [main] = [metric["name"] for metric in part["metrics"] if metric["main"]]
    ids = [model["id"] for model in part["models"]]
    scores = {
        (ids[m], part["questions"][q]["id"]): value
        for m, q, value in zip(part["answers"]["model"], part["answers"]["question"], part["scores"][main], strict=True)
    }
    return {q["id"]: scores[second, q["id"]] - scores[first, q["id"]] for q in part["questions"]}


BASE = "tiny/base"
SMALL = "tiny/challenge__manual__target_only__n4__lora__completion__seed1"
PAIR = f"#at=answers&task=challenge&a={BASE}&b={SMALL}"


def test_all_ways_answer_side_by_side_with_scores_prompt_and_what_scorers_read(opened, part):
    page = opened(f"{PAIR}&q=challenge-07")
    card = page.locator(f'article[data-model="{SMALL}"]')
    card.wait_for()
    assert page.locator("article.answer").count() == len(part["models"])
    i = next(
        i
        for i, (m, q) in enumerate(zip(part["answers"]["model"], part["answers"]["question"], strict=True))
        if part["models"][m]["id"] == SMALL and part["questions"][q]["id"] == "challenge-07"
    )
    assert card.locator(".text").first.inner_text() == part["answers"]["texts"][i][0]
    for metric, scores in part["scores"].items():
        assert f"{metric} {scores[i]:.3f}" in card.locator(".scores").inner_text()
    card.locator("summary", has_text="Prompt").click()
    assert part["prompts"][part["answers"]["prompt"][i]].strip() in card.locator("details[open]").inner_text()
    card.locator("summary", has_text="What scorers read").click()
    assert "It says <i>" in card.inner_text()
    reference = next(q for q in part["questions"] if q["id"] == "challenge-07")["references"][0]
    assert reference in page.locator(".references").inner_text()


def test_a_failed_score_says_why(opened):
    page = opened(f"{PAIR}&q=challenge-01")
    assert "judge failed: no rating in the reply" in page.locator(f'article[data-model="{BASE}"]').inner_text()


def test_keys_and_buttons_move_from_question_to_question(opened):
    page = opened("#at=answers&task=challenge")
    assert at(page)[0] == "1 of 12"
    for key, expected in (("j", 2), ("ArrowRight", 3), ("k", 2), ("ArrowLeft", 1), ("k", 1)):
        page.keyboard.press(key)
        assert at(page)[0] == f"{expected} of 12"
    page.get_by_role("button", name="Next").click()
    assert at(page)[0] == "2 of 12"
    assert "q=challenge-01" in page.url
    page.get_by_label("Search questions and answers").press("ArrowRight")
    assert at(page)[0] == "2 of 12"


def test_answers_that_got_worse_come_first_and_alone(opened, part):
    page = opened(PAIR)
    by_question = gains(part, BASE, SMALL)
    worse = sorted((q for q, gain in by_question.items() if gain < 0), key=by_question.get)
    assert 0 < len(worse) < 12
    page.get_by_label("Sort", exact=True).select_option("worse")
    assert at(page)[1] == worse[0]
    page.get_by_label("only where B is worse than A").check()
    assert at(page)[0] == f"1 of {len(worse)}"
    shown = page.locator("ol.questions .gain").all_inner_texts()
    assert shown == [f"{by_question[q]:+.3f}".replace("-", "−") for q in worse]
    page.get_by_label("Sort", exact=True).select_option("better")
    assert at(page)[1] == worse[-1]


def test_the_answer_leads_to_answers_that_got_worse(opened):
    page = opened()
    page.get_by_role("link", name="Read answers, those that got worse first").click()
    at(page)
    assert page.get_by_label("Sort", exact=True).input_value() == "worse"
    shown = [float(gain.replace("−", "-")) for gain in page.locator("ol.questions .gain").all_inner_texts()]
    assert len(shown) > 1
    assert shown == sorted(shown)


def test_search_finds_words_of_questions_and_answers(opened):
    page = opened("#at=answers&task=challenge")
    at(page)
    page.get_by_label("Search questions and answers").fill("PAPER 11")
    page.wait_for_function("() => document.querySelector('.position').textContent === '1 of 1'")
    assert at(page)[1] == "challenge-11"
    page.get_by_label("Search questions and answers").fill("window.hurt")
    page.wait_for_function("() => document.querySelector('.asked code').textContent === 'challenge-00'")
    page.get_by_label("Search questions and answers").fill("nobody says this")
    page.wait_for_function("() => document.querySelector('.position').textContent === 'no question'")


def test_a_link_leads_to_one_answer_again(opened):
    page = opened(PAIR)
    page.get_by_label("Sort", exact=True).select_option("longest")
    page.keyboard.press("j")
    position = at(page)
    address = page.get_by_role("link", name="Link to this answer").get_attribute("href")
    again = opened(address)
    assert at(again) == position
    assert again.get_by_label("A", exact=True).input_value() == BASE
    assert again.get_by_label("B", exact=True).input_value() == SMALL


def test_a_row_of_a_table_leads_to_its_answers(opened, payload):
    page = opened()
    place = whole_table(page, "main")
    row = next(i for i, n in enumerate(payload["tables"]["main"]["rows"]["nb_samples"]) if n == 4)
    place.locator(f'tr[data-row="{row}"] button.fold').click()
    place.get_by_role("link", name="Read these answers").click()
    at(page)
    assert "__n4__" in page.get_by_label("B", exact=True).input_value()


def test_words_that_differ_are_marked(opened):
    page = opened(f"{PAIR}&q=challenge-07")
    card = page.locator(f'article[data-model="{SMALL}"]')
    card.wait_for()
    texts = {m: page.locator(f'article[data-model="{m}"] .text').first.inner_text().split() for m in (BASE, SMALL)}
    marked = " ".join(card.locator("mark").all_inner_texts()).split()
    assert marked
    assert set(marked) == set(texts[SMALL]) - set(texts[BASE])
    page.get_by_label("Mark words that differ from").select_option("reference")
    assert "indeed" in " ".join(card.locator("mark").all_inner_texts())
    page.get_by_label("Mark words that differ from").select_option("none")
    assert card.locator("mark").count() == 0


def test_texts_of_models_are_text(opened):
    page = opened(PAIR)
    for i, text in enumerate(HOSTILE.values()):
        assert at(page)[1] == f"challenge-{i:02}"
        place = page.locator(f'article[data-model="{BASE}"]')
        if len(text) > 5000:
            place.get_by_role("button", name="Show all 100,000 characters").click()
        seen = place.locator(".text").first.evaluate("element => element.textContent")
        unseen = {"\x07": "␇", "\x00": "␀", "\x1b": "␛", "\u202e": "U+202E", "\u202c": "U+202C"}
        assert seen == "".join(unseen.get(sign, sign) for sign in text)
        assert place.locator(".text").first.get_attribute("dir") == "auto"
        page.keyboard.press("j")
    assert page.evaluate("window.hurt") is None
    assert page.locator("main img, main script, article b b").count() == 0


def test_answers_in_a_folder_are_read_without_a_server(opened, page_folder):
    page = opened(f"{PAIR}&q=challenge-07", file="folder/report.html")
    assert at(page)[1] == "challenge-07"
    assert page.locator("article.answer").count() == 5


def test_files_that_are_not_beside_the_page_are_missed_in_a_sentence(browser, page_folder, tmp_path):
    (tmp_path / "report.html").write_text((page_folder / "folder/report.html").read_text())
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri() + PAIR)
    assert "it belongs beside this page" in page.locator("#answers .warning").inner_text()
    page.close()
