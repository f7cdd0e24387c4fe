"""Fine-tune one model on one task and sample type, for each size of the training set, and answer the task's test examples.

A script as studies have it: the model is loaded once, batches are padded to their longest example, answers come one by one.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--train", nargs="+", required=True, help="folders with train.jsonl and validation.jsonl")
parser.add_argument("--test", required=True)
parser.add_argument("--out", required=True)
parser.add_argument("--answer-with-base", action="store_true")
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--batch-size", type=int, required=True)
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--rank", type=int, required=True)
parser.add_argument("--alpha", type=float, required=True)
parser.add_argument("--target-modules", nargs="+", required=True)
parser.add_argument("--max-length", type=int, required=True)
parser.add_argument("--max-new-tokens", type=int, required=True)
args = parser.parse_args()

out = Path(args.out)
out.mkdir(parents=True, exist_ok=True)
device = "cuda" if torch.cuda.is_available() else "cpu"
tokenizer = AutoTokenizer.from_pretrained(args.model)
# As the workflow does: processors without units for bfloat16 are several times slower in it.
dtype = torch.bfloat16 if device == "cuda" else torch.float32
base = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype).to(device)
seconds = {"training_s": 0.0, "generation_s": 0.0}


def read(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def prompt_ids(example):
    text = "\n\n".join(part for part in (example["instruction"], example["input"]) if part)
    messages = [{"role": "user", "content": text}]
    if tokenizer.chat_template is None:
        return tokenizer(text + "\n\n")["input_ids"]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]


def encode(example):
    prompt = prompt_ids(example)
    answer = tokenizer(example["output"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    prompt = prompt[-max(args.max_length - len(answer), 1) :]
    return {"ids": prompt + answer, "labels": [-100] * len(prompt) + answer}


def collate(batch):
    longest = max(len(example["ids"]) for example in batch)
    ids = torch.full((len(batch), longest), tokenizer.pad_token_id)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, example in enumerate(batch):
        length = len(example["ids"])
        ids[i, :length] = torch.tensor(example["ids"])
        mask[i, :length] = 1
        labels[i, :length] = torch.tensor(example["labels"])
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device), "labels": labels.to(device)}


def train(folder):
    started = time.perf_counter()
    torch.manual_seed(1)
    lora = LoraConfig(r=args.rank, lora_alpha=args.alpha, target_modules=args.target_modules, task_type="CAUSAL_LM")
    model = get_peft_model(base, lora)
    examples, validation = ([encode(e) for e in read(Path(folder) / f"{name}.jsonl")] for name in ("train", "validation"))
    loader = torch.utils.data.DataLoader(examples, args.batch_size, shuffle=True, collate_fn=collate)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=args.learning_rate, weight_decay=0.0)
    scheduler = get_linear_schedule_with_warmup(optimizer, 0, args.epochs * len(loader))
    for _ in range(args.epochs):
        model.train()
        for batch in loader:
            with torch.autocast(device, dtype=torch.bfloat16, enabled=base.dtype != torch.float32):
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    model.eval()
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=base.dtype != torch.float32):
        losses = [
            model(**batch).loss.item() for batch in torch.utils.data.DataLoader(validation, args.batch_size, collate_fn=collate)
        ]
    print(folder, "validation loss", sum(losses) / len(losses))
    seconds["training_s"] += time.perf_counter() - started
    return model


def predict(model, name):
    started = time.perf_counter()
    with open(out / f"{name}.jsonl", "w", encoding="utf-8") as file:
        for example in read(args.test):
            ids = torch.tensor([prompt_ids(example)], device=device)
            with torch.no_grad():
                answer = model.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=args.max_new_tokens, do_sample=False
                )
            text = tokenizer.decode(answer[0, ids.shape[1] :], skip_special_tokens=True)
            file.write(json.dumps(example | {"prediction": text}) + "\n")
    seconds["generation_s"] += time.perf_counter() - started


base.eval()
if args.answer_with_base:
    predict(base, "base")
for folder in args.train:
    model = train(folder)
    model.save_pretrained(out / Path(folder).name)
    predict(model, Path(folder).name)
    base = model.unload()
print(json.dumps(seconds))
