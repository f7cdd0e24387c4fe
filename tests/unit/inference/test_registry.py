"""Engines are found by themselves."""

import subprocess
import sys

from projects import REPOSITORY

TOY = '''
from contextlib import contextmanager
from typing import ClassVar, Literal

from pydantic import Field

from loragrid.inference.engine import EngineSettings
from loragrid.inference.protocol import Answer, Engine


class ToyEngine(EngineSettings):
    """Says the same to everything."""

    type: Literal["toy"] = Field(description="Chooses this engine.")
    words: str = Field(description="What it says.")

    is_server: ClassVar[bool] = True

    @property
    def needs_source(self):
        return False

    @contextmanager
    def open(self, model):
        def answer(questions, decoding, answered):
            yield {i: Answer(self.words, [], 1, 1, "stop", 0, 0, 0, 1) for i in range(len(questions))}

        yield Engine("toy", "1", answer, "none", "none")
'''


PROGRAM = """
import sys
from pathlib import Path

import yaml

from loragrid.inference import engines

engines.__path__.append(sys.argv[1])

from loragrid.config.load import parse_config
from loragrid.data.render import Rendered
from loragrid.errors import UserError
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.protocol import Decoding, generate

raw = yaml.safe_load(Path(sys.argv[2]).read_text())
raw["models"]["toy"] = {"engine": {"type": "toy", "words": "Hello."}}
engine = parse_config(raw).models["toy"].engine
with engine.open(ModelToAsk()) as opened:
    [[answer]] = generate(opened.answer, [Rendered("Who?", [1], [], False)], Decoding(5))
print(type(engine).__name__, answer.text)

raw["models"]["toy"]["engine"]["word"] = raw["models"]["toy"]["engine"].pop("words")
try:
    parse_config(raw)
except UserError as error:
    print(error)
"""


def test_engine_is_added_by_adding_a_file(tmp_path):
    (tmp_path / "toy.py").write_text(TOY)
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path), str(REPOSITORY / "config/config.yaml")]
    environment = {"PYTHONPATH": str(REPOSITORY / "workflow/scripts"), "PATH": ""}
    said = subprocess.run(arguments, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert said.stdout.splitlines() == [
        "ToyEngine Hello.",
        "models.toy.engine.words: this key is required but missing.",
        "models.toy.engine.word: unknown key; did you mean 'words'?",
    ], said.stderr
