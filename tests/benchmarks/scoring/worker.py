"""One contender, in a process of its own: `worker.py RESULT`, with the job as JSON on stdin."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from packaged import CACHE, unpacked

Files = list[list[tuple[str, str]]]
"""For each prediction file its predictions, each with its reference."""
Score = Callable[[Files], list[list[float]]]
"""From prediction files to the values of their predictions."""
ENCODER = CACHE / "models" / "minilm"


def prediction_files(number: int, nb_references: int) -> Files:
    """Real sentences as predictions: system k answers with the k-th sentence of a paper; references are the experts' summaries of its challenge."""
    lines = unpacked("aclsum==0.1.2", "aclsum/dataset/test.jsonl").read_text(encoding="utf-8").splitlines()[:nb_references]
    rows = [json.loads(line) for line in lines]
    texts = [[text for part in ("abstract", "introduction", "conclusion") for text in row["sentences"][part]] for row in rows]
    return [[(of[k % len(of)], row["summary"]["challenge"]) for of, row in zip(texts, rows, strict=True)] for k in range(number)]


def sbert_one_by_one() -> Score:
    """Prediction and reference of each example are embedded by themselves."""
    from sentence_transformers import SentenceTransformer, util

    model = SentenceTransformer(str(ENCODER))
    return lambda files: [[float(util.cos_sim(model.encode(p), model.encode(r))) for p, r in file] for file in files]


def sbert_per_file() -> Score:
    """All predictions of a file are embedded by one call with the library's defaults, and so are the references."""
    from sentence_transformers import SentenceTransformer, util

    model = SentenceTransformer(str(ENCODER))

    def score(files: Files) -> list[list[float]]:
        return [
            util.pairwise_cos_sim(model.encode([p for p, _ in file]), model.encode([r for _, r in file])).tolist()
            for file in files
        ]

    return score


def bertscore_one_by_one() -> Score:
    """The package bert-score on one example at a time, the model loaded once."""
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=str(ENCODER), num_layers=6)
    return lambda files: [[float(scorer.score([p], [r])[2]) for p, r in file] for file in files]


def bertscore_per_file() -> Score:
    """The package bert-score on a file at a time, with its defaults."""
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=str(ENCODER), num_layers=6)
    return lambda files: [scorer.score([p for p, _ in file], [r for _, r in file])[2].tolist() for file in files]


def ours(scorer: Any, metric: str) -> Score:
    """As the jobs of the workflow do it: the first scores what all files wait for, the others find it in the store."""
    from loragrid.scoring import Item, Scored, scored_once

    def score(files: Files) -> list[list[float]]:
        items = [[Item(id="", prediction=p, references=(r,)) for p, r in file] for file in files]
        with tempfile.TemporaryDirectory() as folder:
            store, everything = Path(folder) / "store.jsonl", [one for file in items for one in file]
            outcomes = [scored_once(file, lambda: everything, scorer, store) for file in items]
        return [[one.metrics[metric] for one in file if isinstance(one, Scored)] for file in outcomes]

    return score


def start(contender: str) -> Score:
    """Load what a contender needs."""
    if contender == "sbert_ours":
        from loragrid.scorer_embeddings import sbert

        return ours(sbert(ENCODER), "cosine")
    if contender == "bertscore_ours":
        from loragrid.scorer_embeddings import bertscore

        return ours(bertscore(ENCODER, None, None), "f1")
    if contender == "known":
        return ours(None, "")
    starters: dict[str, Callable[[], Score]] = {
        "sbert_one_by_one": sbert_one_by_one,
        "sbert_per_file": sbert_per_file,
        "bertscore_one_by_one": bertscore_one_by_one,
        "bertscore_per_file": bertscore_per_file,
    }
    return starters[contender]()


def main() -> None:
    """Run one job and write what it took."""
    began = time.perf_counter()
    job = json.load(sys.stdin)
    files = prediction_files(job["files"], job["references"])
    score = start(job["contender"])
    values: list[list[float]] = []
    seconds = 0.0
    if job["contender"] != "known":
        import torch

        torch.set_num_threads(job["threads"])
        # What a library does only at its first call is start-up.
        score([files[0][:1]])
        started = time.perf_counter()
        values = score(files)
        seconds = time.perf_counter() - started
    whole = time.perf_counter() - began
    Path(sys.argv[1]).write_text(json.dumps({"values": values, "scoring_s": seconds, "inside_s": whole}))


main()
