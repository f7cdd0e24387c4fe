"""Pages of the report for tests, made by the real functions from a made-up grid, and read back."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.analysis.all_tables import GridFiles as ResultFiles
from loragrid.analysis.all_tables import make_tables
from loragrid.analysis.figures.all_figures import figures_of_data, figures_of_results
from loragrid.analysis.figures.files import described
from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.page.write import GridFiles, write_report
from loragrid.analysis.settings import AnalysisSettings, ReportContents
from loragrid.analysis.table_files import write_table
from loragrid.analysis.tables_and_figures import write_tables
from loragrid.data.counts import count_examples, count_mixes, example_lengths, summarise_lengths
from loragrid.layout import ANALYSE, DESCRIBE_DATA, Dataset, Run
from loragrid.records import Example, Prediction, Score, write_records
from loragrid.runtime.files import write_json

TASKS = ("challenge", "outcome")
SIZES = (4, 16)
SEEDS = (1, 2)
QUESTIONS = 12
BASE_MODEL = "tiny"
TEXT = "a model of words learns what papers claim and why their authors think that it matters to others"
WORDS = TEXT.split(" ")
HOSTILE = {
    "script": "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'></script>",
    "template": "{{ 7 * 7 }} & <b>bold</b> &lt;",
    "right to left": "\u202eשלום עולם\u202c مرحبا",
    "long": "word " * 20_000,
    "emoji": "😀 👩‍👩‍👧‍👦 fine",
    "control": "bell \x07 null \x00 escape \x1b[31m red",
}
"""Answers of the base model to the first questions of the first task."""


def payload_of(html: str) -> dict[str, Any]:
    """What a page's tables and figures are filled with."""
    return part_of(html, "payload")


def answers_of(html: str, part: str) -> dict[str, Any]:
    """The answers of one task that are in a page."""
    return part_of(html, f"answers-{part}")


def part_of(html: str, name: str) -> dict[str, Any]:
    [packed] = re.findall(rf'<script type="application/octet-stream" id="{re.escape(name)}">\s*([\w+/=]+)\s*</script>', html)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def rows_of(payload: Mapping[str, Any], table: str) -> list[dict[str, Any]]:
    """A table of the payload by rows."""
    columns = payload["tables"][table]["rows"]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def whole_table(page: Any, name: str) -> Any:
    """A table of the page, once it is there."""
    place = page.locator(f'[data-table="{name}"]')
    place.scroll_into_view_if_needed()
    place.locator("tbody tr[data-row]").first.wait_for()
    return place


def cells_of(place: Any, label: str) -> list[str]:
    """The shown texts of a column, by the text of its head."""
    heads = place.locator("thead th").all_inner_texts()
    [number] = [i for i, head in enumerate(heads) if head.strip() == label]
    return [text.strip() for text in place.locator(f"tbody tr[data-row] td:nth-child({number + 1})").all_inner_texts()]


class FinishedGrid(NamedTuple):
    """What a report is made of."""

    settings: AnalysisSettings
    state: list[dict[str, Any]]
    outputs: dict[str, Path]
    """Tables and figures."""
    files: GridFiles

    def write_page(self, path: Path, **contents: Any) -> None:
        """Write the report.

        Args:
            contents: of the section `report` in the configuration.
        """
        about = ReportContents.model_validate({"title": "Words & <b>models</b>", "examples": 3, **contents})
        write_report(path, about, self.settings, self.state, self.outputs, self.files)


def finished_grid(folder: Path) -> FinishedGrid:
    """A finished made-up grid with tables and figures: two tasks, two sizes, two seeds, 12 questions, two scorers."""
    files = _grid(folder)
    outputs = ANALYSE.below(folder) | DESCRIBE_DATA.below(folder)
    kinds = {name: {"type": name, "lower_is_better": [], "worst": worst} for name, worst in SCORERS.items()}
    told = {"metric": "rouge/rougeL", "prices": {}, "judge_prices": {}, "kinds": kinds, "group_by": {}, "levels": {}}
    settings = AnalysisSettings.model_validate(told)
    results = ResultFiles(files["predictions"], files["scores"], files["losses"], files["manifests"], files["tests"])
    made = make_tables(results, settings)
    write_tables(made.by_name, outputs)
    lengths = example_lengths(files["tests"], [], lambda path: Dataset.of(path).name)
    write_tables({"data_sets": count_examples([], []), "mixes": count_mixes([]), "lengths": summarise_lengths(lengths)}, outputs)
    for name, figure in {**figures_of_results(made, settings), **figures_of_data(lengths)}.items():
        # The page reads their rows and specifications; pictures would take a minute.
        write_table(figure.rows, outputs[f"{name}_csv"])
        write_json(outputs[f"{name}_json"], described(name, figure))
    (folder / "failed.log").write_text("starting\nerror: CUDA out of memory <script>\n")
    asked = {"predictions": [(path, "") for path in files["predictions"]], "adapters": [("gone", str(folder / "failed.log"))]}
    read = GridFiles(files["scores"], files["tests"], [], files["manifests"], files["manifests"], [], [], [])
    return FinishedGrid(settings, grid_state(asked), outputs, read)


SCORERS: dict[str, dict[str, float]] = {"rouge": {}, "judge": {"rating": 1.0}}
"""With the worst value of their metrics, where there is one."""


def _grid(folder: Path) -> dict[str, list[str]]:
    """The files of the grid, by kind."""
    files: dict[str, list[str]] = {"predictions": [], "scores": [], "losses": [], "manifests": [], "tests": []}

    def write(kind: str, place: str, records: list[Any]) -> None:
        files[kind].append(str(folder / place))
        write_records(files[kind][-1], records)

    for task in TASKS:
        questions = [_question(task, i) for i in range(QUESTIONS)]
        write("tests", f"datasets/{task}/manual/test.jsonl", questions)
        runs = [
            Run(BASE_MODEL, task, "manual", "target_only", n, "lora", "completion", seed) for n, seed in product(SIZES, SEEDS)
        ]
        for run in (None, *runs):
            name, place = (run.name if run else "base"), f"{task}/manual/{BASE_MODEL}/{run.name if run else 'base'}"
            answers = [_answer(task, run, i) for i in range(QUESTIONS)]
            write(
                "predictions",
                f"predictions/{place}.jsonl",
                [_prediction(q, run, text) for q, text in zip(questions, answers, strict=True)],
            )
            values = [_value(q, text) for q, text in zip(questions, answers, strict=True)]
            rouge = [Score(id=q.id, scorer="rouge", metric="rougeL", value=v) for q, v in zip(questions, values, strict=True)]
            write("scores", f"scores/{place}/rouge.jsonl", rouge)
            judged = [_judged(q, i, v, name) for i, (q, v) in enumerate(zip(questions, values, strict=True))]
            write("scores", f"scores/{place}/judge.jsonl", judged)
            if run:
                _training(folder / f"adapters/{task}/manual/{BASE_MODEL}/{run.name}", run, files)
    return files


def _question(task: str, i: int) -> Example:
    text = f"Paper {i}: " + " ".join(WORDS[i % 5 :])
    right = " ".join(WORDS[i % 4 : i % 4 + 10])
    return Example(
        id=f"{task}-{i:02}", task=task, sample_type="manual", instruction=f"Name the {task}.", input=text, output=right
    )


def _answer(task: str, run: Run | None, i: int) -> str:
    if run is None and task == TASKS[0] and i < len(HOSTILE):
        return list(HOSTILE.values())[i]
    # More examples give more of the right words; on some questions the base model is better.
    kept = (4 if i % 3 else 9) if run is None else 5 + run.nb_samples // 4 + (i + run.seed) % 2
    return " ".join([*WORDS[i % 4 : i % 4 + min(kept, 10)], "indeed", str(i)])


def _value(question: Example, text: str) -> float:
    words, right = text.split()[:100], question.references[0].split()
    shared = len(set(words) & set(right))
    return round(2 * shared / (len(set(words)) + len(set(right))), 6) if words else 0.0


def _judged(question: Example, i: int, value: float, name: str) -> Score:
    if name == "base" and i == 1:
        return Score(id=question.id, scorer="judge", metric="rating", value=None, status="no rating in the reply")
    said = f"It says <i>{round(value, 2)}</i> of what is right."
    return Score(id=question.id, scorer="judge", metric="rating", value=1.0 + round(4 * value * (i % 5) / 4), detail=said)


def _prediction(question: Example, run: Run | None, text: str) -> Prediction:
    axes: dict[str, Any] = {}
    if run:
        axes = {axis: value for axis, value in run._asdict().items() if axis not in ("base_model", "task", "sample_type")}
        axes |= {"trained_task": run.task, "trained_sample_type": run.sample_type}
    words = len(text.split())
    costs = {"queue_s": 0.0, "compute_s": 0.5, "runtime_s": 0.5, "prompt_tokens": 40, "new_tokens": words, "batch_size": 4}
    return Prediction(
        id=question.id,
        task=question.task,
        sample_type="manual",
        base_model=BASE_MODEL,
        run=run.name if run else "base",
        prompt=f"<|user|>\n{question.instruction}\n\n{question.input}\n<|assistant|>\n",
        prediction=text,
        reference=question.output,
        finish_reason="length" if words > 1000 else "stop",
        engine="hf",
        engine_version="1",
        **costs,
        **axes,
    )


def _training(folder: Path, run: Run, files: dict[str, list[str]]) -> None:
    """The manifest and the losses of a training."""
    folder.mkdir(parents=True)
    steps = [f"{i},{i / 4},{2.5 / i},{2.6 / i},0.002,{i * 100},{i * 1.5}" for i in range(1, run.nb_samples // 2 + 1)]
    head = "step,epoch,train_loss,validation_loss,learning_rate,tokens,seconds"
    (folder / "loss.csv").write_text("\n".join([head, *steps, ""]))
    axes = run._asdict()
    manifest = {
        "run": axes,
        "examples": {"train": run.nb_samples, "input_cut": [], "dropped": []},
        "tokens": 1234,
        "training_s": 12.5,
        "wall_time_s": 20.0,
        "peak_memory_mb": 900.0,
        "git_commit": "abc",
        "hardware": {"processor": "CPU", "device": "cpu", "dtype": "float32", "threads": 2},
        "versions": {"python": "3.11"},
    }
    write_json(folder / "manifest.json", manifest)
    files["losses"].append(str(folder / "loss.csv"))
    files["manifests"].append(str(folder / "manifest.json"))
