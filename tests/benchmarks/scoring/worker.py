"""One contender on one prediction file, in a process of its own: `worker.py RESULT`, with the job as JSON on stdin."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from packaged import CACHE, unpacked

Pairs = Sequence[tuple[str, str]]
"""Predictions, each with its reference."""
ENCODER = CACHE / "models" / "minilm"


def prediction_files(number: int, nb_references: int) -> list[Pairs]:
    """Real sentences as predictions: system k answers with the k-th sentence of a paper; references are the experts' summaries of its challenge."""
    lines = unpacked("aclsum==0.1.2", "aclsum/dataset/test.jsonl").read_text(encoding="utf-8").splitlines()[:nb_references]
    rows = [json.loads(line) for line in lines]
    texts = [[text for part in ("abstract", "introduction", "conclusion") for text in row["sentences"][part]] for row in rows]
    return [[(of[k % len(of)], row["summary"]["challenge"]) for of, row in zip(texts, rows, strict=True)] for k in range(number)]


def sbert_one_by_one() -> Callable[[Pairs], list[float]]:
    """Prediction and reference of each example are embedded by themselves."""
    from sentence_transformers import SentenceTransformer, util

    model = SentenceTransformer(str(ENCODER))
    return lambda pairs: [float(util.pairwise_cos_sim(model.encode([p]), model.encode([r]))) for p, r in pairs]


def sbert_per_file() -> Callable[[Pairs], list[float]]:
    """All predictions are embedded by one call with the library's defaults, and so are the references."""
    from sentence_transformers import SentenceTransformer, util

    model = SentenceTransformer(str(ENCODER))
    return lambda pairs: util.pairwise_cos_sim(*(model.encode(list(texts)) for texts in zip(*pairs, strict=True))).tolist()


def bertscore_one_by_one() -> Callable[[Pairs], list[float]]:
    """The package bert-score on one example at a time."""
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=str(ENCODER), num_layers=6)
    return lambda pairs: [float(scorer.score([p], [r])[2]) for p, r in pairs]


def bertscore_per_file() -> Callable[[Pairs], list[float]]:
    """The package bert-score on all examples, with its defaults."""
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=str(ENCODER), num_layers=6)
    return lambda pairs: scorer.score(*map(list, zip(*pairs, strict=True)))[2].tolist()


def ours(metric: str, waiting: Sequence[Pairs], store: Path, start: Callable[[], Any]) -> Callable[[Pairs], list[float]]:
    """As a job of the workflow does it: what another job has scored is in the store, and what others wait for is scored as well."""
    from loragrid.scoring.protocol import Item, Scored
    from loragrid.scoring.store import scored_once

    def items_of(pairs: Pairs) -> list[Item]:
        return [Item(id="", prediction=p, references=(r,)) for p, r in pairs]

    def score(pairs: Pairs) -> list[float]:
        everything = [one for file in waiting for one in items_of(file)]
        outcomes = scored_once(items_of(pairs), lambda: everything, start(), store)
        return [one.metrics[metric] for one in outcomes if isinstance(one, Scored)]

    return score


def main() -> None:
    """Score one file and write what it took."""
    job = json.load(sys.stdin)
    files, contender = prediction_files(job["files"], job["references"]), job["contender"]
    loading = 0.0

    def load(start: Callable[[], Any]) -> Any:
        nonlocal loading
        import torch

        torch.set_num_threads(job["threads"])
        started = time.perf_counter()
        loaded = start()
        loading += time.perf_counter() - started
        return loaded

    def once(name: str) -> Any:
        """The scorer of loragrid, loaded when it is first needed."""

        def score(items: Any) -> Any:
            def start() -> Any:
                from loragrid.scoring.scorers.bertscore import bertscore
                from loragrid.scoring.scorers.sbert import sbert

                return sbert(ENCODER) if name == "sbert" else bertscore(ENCODER, None, None)

            return load(start)(items)

        return score

    store = Path(job["store"])
    contenders: dict[str, Callable[[], Any]] = {
        "sbert_one_by_one": lambda: load(sbert_one_by_one),
        "sbert_per_file": lambda: load(sbert_per_file),
        "sbert_ours": lambda: ours("cosine", files, store, lambda: once("sbert")),
        "bertscore_one_by_one": lambda: load(bertscore_one_by_one),
        "bertscore_per_file": lambda: load(bertscore_per_file),
        "bertscore_ours": lambda: ours("f1", files, store, lambda: once("bertscore")),
    }
    score = contenders[contender]()
    before, started = loading, time.perf_counter()
    values = score(files[job["file"]])
    seconds = time.perf_counter() - started - (loading - before)
    Path(sys.argv[1]).write_text(json.dumps({"values": values, "scoring_s": seconds}))


main()
