"""Measures multiple choice with lm-evaluation-harness, in its own environment: see unit/inference/test_lm_eval.py.

Arguments: folder of the model, a file with one question per line (`prompt`, `choices`, `gold`), the file to write.
"""

import json
import sys

from lm_eval.api.metrics import bits_per_byte
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM


class TokenisedApart(HFLM):
    """The harness joins prompt and choice before it makes tokens of them. This makes the tokens of both apart."""

    def _encode_pair(self, context, continuation):
        return tuple(self.tokenizer(text, add_special_tokens=False).input_ids for text in (context, continuation))


def main(model: str, questions: str, result: str) -> None:
    """Measure, and write what was found for each question and over all."""
    metrics = ["acc", "acc_norm", "acc_bytes", "brier_score"]
    task = ConfigurableTask(
        config={
            "task": "questions",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": questions}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "prompt",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "target_delimiter": "",
            "metric_list": [{"metric": metric} for metric in metrics],
        }
    )
    # In float32, the sum over the vocabulary costs 2e-5 nats a token.
    harness = TokenisedApart(pretrained=model, dtype="float32", softmax_dtype="float64", device="cpu", batch_size=1)
    found = simple_evaluate(harness, tasks=[task], log_samples=True, bootstrap_iters=0)
    samples = sorted(found["samples"]["questions"], key=lambda one: one["doc_id"])
    likelihoods = [[float(likelihood) for likelihood, _ in one["filtered_resps"]] for one in samples]
    of_gold = [
        (own[one["doc"]["gold"]], len(one["doc"]["choices"][one["doc"]["gold"]].encode()))
        for own, one in zip(likelihoods, samples, strict=True)
    ]
    told = {metric: found["results"]["questions"][f"{metric},none"] for metric in metrics}
    told |= {"bits_per_byte": bits_per_byte(of_gold)}
    with open(result, "w", encoding="utf-8") as file:
        json.dump({"log_likelihoods": likelihoods, "over_all": told}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
