"""True or false, with an explanation: what is a kind of what, from WordNet's noun file (Princeton WordNet 3)."""

import hashlib


def build(files, nb_rows=20000):
    """One row for each noun that has a hypernym: a true statement, or a false one about another noun's hypernym.

    Args:
        files: `nouns`, the path of WordNet's `data.noun`.
        nb_rows: how many rows, in the order of the nouns' hashes.

    Returns:
        Rows with `noun`, `statement` and `answer` ("True. …" or "False. …", with the noun's gloss).
    """
    synsets = read_synsets(files["nouns"])
    nouns = sorted((offset for offset, (_, kinds, _) in synsets.items() if kinds), key=draw)[:nb_rows]
    return [row(synsets, offset, other) for offset, other in zip(nouns, nouns[1:] + nouns[:1], strict=True)]


def read_synsets(path):
    """Word, hypernyms and gloss of each synset, by its offset (the file's format: wndb(5WN))."""
    synsets = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("  "):
                continue
            data, _, gloss = line.partition("|")
            fields = data.split()
            nb_words = int(fields[3], 16)
            pointers = fields[5 + 2 * nb_words :]
            kinds = [pointers[i + 1] for i, symbol in enumerate(pointers) if symbol == "@" and pointers[i + 2] == "n"]
            synsets[fields[0]] = (fields[4].replace("_", " "), kinds, gloss.split(";")[0].strip())
    return synsets


def draw(text):
    """A number that is as good as random, and always the same for one text."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


def row(synsets, offset, other):
    """A statement about one noun: half of them true, the others with the hypernym of another noun."""
    noun, kinds, gloss = synsets[offset]
    is_true = draw(offset) % 2 == 0 or set(synsets[other][1]) & ancestors(synsets, offset)
    kind = synsets[kinds[0] if is_true else synsets[other][1][0]][0]
    answer = f"{'True' if is_true else 'False'}. {article(noun).capitalize()} is {gloss}."
    return {"noun": noun, "statement": f"{article(noun).capitalize()} is a kind of {kind}.", "answer": answer}


def ancestors(synsets, offset):
    """All hypernyms of a synset, direct and indirect."""
    found, waiting = set(), list(synsets[offset][1])
    while waiting:
        if (kind := waiting.pop()) not in found:
            found.add(kind)
            waiting += synsets[kind][1]
    return found


def article(noun):
    """The noun with its indefinite article; names have none."""
    if noun[:1].isupper():
        return noun
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
