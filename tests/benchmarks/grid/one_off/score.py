"""Score one file of predictions: ROUGE, exact match, and the similarity of sentence embeddings."""

import json
import re
import string
import sys
import time

from rouge_score import rouge_scorer
from sentence_transformers import SentenceTransformer, util

predictions, encoder, scores = sys.argv[1:]
with open(predictions, encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]
rouge = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
model = SentenceTransformer(encoder)


def normalised(text):
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


started = time.perf_counter()
answers, references = ([row[key] for row in rows] for key in ("prediction", "output"))
cosines = util.pairwise_cos_sim(model.encode(answers), model.encode(references)).tolist()
with open(scores, "w", encoding="utf-8") as file:
    for answer, reference, cosine in zip(answers, references, cosines, strict=True):
        values = {name: value.fmeasure for name, value in rouge.score(reference, answer).items()}
        values |= {"exact_match": float(normalised(answer) == normalised(reference)), "cosine": cosine}
        file.write(json.dumps(values) + "\n")
print(json.dumps({"scoring_s": time.perf_counter() - started}))
