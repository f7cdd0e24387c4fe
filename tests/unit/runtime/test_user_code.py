"""What is wrong with a user's function is said before it is run."""

import pytest

from loragrid.runtime.user_code import load_function, problem_of_function, told

GIVEN = ["predictions", "references"]


def problem(folder, source, name="score", keywords=GIVEN):
    path = folder / "mine.py"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    found = problem_of_function(f"{path}:{name}", keywords)
    return None if found is None else found.replace(f"{folder}/", "")


@pytest.mark.parametrize(
    "source",
    [
        "def score(predictions, references): ...",
        "def score(predictions, references, least=1): ...",
        "def score(*, references, predictions): ...",
        "def score(predictions, **others): ...",
        "def score(**everything): ...",
        "score = lambda predictions, references: []",
        "score = lambda **_: []",
        "score: object = make()",
        "from other import score",
        "from other import each as score",
        "from other import *",
        "import score",
        "class score: ...",
        "if True:\n    def score(**_): ...\nelse:\n    score = None",
        "try:\n    from fast import score\nexcept ImportError:\n    def score(**_): ...",
        "with open('x') as score: ...",
        "score, other = make()",
        "globals()['score'] = print\nfrom a import *",
        "def make():\n    global score\n    score = print\nmake()",
        "def __getattr__(name): return print",
        "@wrapped\ndef score(): ...",
        "raise SystemExit('this is never run')\ndef score(**_): ...",
        b"# -*- coding: latin-1 -*-\ndef score(**_): return '\xe9'",
        b"\xef\xbb\xbfdef score(**_): ...",
        "def score(predictions, references):\n    return '\\d'",
    ],
)
def test_function_that_can_be_called_or_that_only_running_would_tell_about_is_no_problem(tmp_path, source):
    assert problem(tmp_path, source) is None


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("def scor(**_): ...", "'mine.py' has no function 'score'; did you mean 'scor'?"),
        ("import json\nclass A:\n    def score(self): ...", "'mine.py' has no function 'score'; known: A."),
        ("", "'mine.py' has no function 'score'; known: none."),
        ("def score(:", "'mine.py', line 1, is not valid Python (invalid syntax)."),
        ("x = 1\n  y = 2", "'mine.py', line 2, is not valid Python (unexpected indent)."),
        ("print 'Python 2'", "'mine.py', line 1, is not valid Python (Missing parentheses in call to 'print'."),
        ("x = '\0'", "'mine.py' is not valid Python (source code string cannot contain null bytes)."),
        (b"x = '\xe9'", "'mine.py', line 1, is not valid Python ((unicode error) 'utf-8' codec can't decode"),
        ("x = " + "(" * 3000, "'mine.py', line 1, is not valid Python (too many nested parentheses)."),
        ("score = 5", "'mine.py': 'score' is a value; expected a function."),
        ("score = [1, 2]", "'mine.py': 'score' is a value; expected a function."),
        ("async def score(**_): ...", "'mine.py': 'score' is a coroutine ('async def'); expected a function."),
        ("def score(predictions): ...", "'mine.py': 'score' does not take 'references'; it is called with the keywords predictions, "),
        ("score = lambda: 0", "'mine.py': 'score' does not take 'predictions'; it is called with"),
        ("def score(predictions, references, least): ...", "'mine.py': 'score' needs 'least'; it is called with the keywords"),
        ("def score(*, least, **_): ...", "'mine.py': 'score' needs 'least'; it is called with the keywords predictions, refer"),
        ("def score(predictions, /, references): ...", "'mine.py': 'score' takes 'predictions' by its place only; it is called"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_with_file_and_line(tmp_path, source, sentence):
    found = problem(tmp_path, source)
    assert found.startswith(sentence)
    assert "\n" not in found


def test_file_that_is_not_there_or_a_folder(tmp_path):
    assert problem_of_function(f"{tmp_path}/none.py:score", GIVEN) is None
    (tmp_path / "folder.py").mkdir()
    assert problem_of_function(f"{tmp_path}/folder.py:score", GIVEN) == f"'{tmp_path}/folder.py' cannot be read (Is a directory)."


def test_value_that_only_running_tells_is_no_function_either(tmp_path):
    (tmp_path / "mine.py").write_text("score = int('5')\n")
    with pytest.raises(Exception, match="the function failed: TypeError: 'score' is no function"), told("the function"):
        load_function(f"{tmp_path}/mine.py:score")
