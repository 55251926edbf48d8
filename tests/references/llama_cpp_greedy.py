#!/usr/bin/env python3
"""Greedy continuations by llama.cpp, the reference of tests/it/model/greedy.rs.

Usage: llama_cpp_greedy.py MODEL.gguf OUT.json [STEPS]
Made with llama-cpp-python 0.3.36 (llama.cpp 0c1e57098) and Python 3.11. Run outside CI: the package is built from source.

Each prompt is stored as ids, so that the tokenizer is not part of the comparison. `gap` is the difference of the two
best logits at each step: where it is below the rounding of quantised kernels, either token is right.
"""
import json
import sys

import llama_cpp
import numpy as np

# Code and prose, where the model is often undecided between two tokens.
FREE = [
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "for i in range(len(items)):\n    if items[i].price > ",
    "fn main() {\n    let args: Vec<String> = std::env::args().collect();\n",
    "import os\nimport sys\n\ndef read_lines(path):\n    with open(path) as f:\n",
    "function total(items) {\n  let total = 0;\n  for (const item of items) {\n",
    "package main\n\nimport \"fmt\"\n\nfunc main() {\n",
    "#include <stdio.h>\n\nint main(int argc, char **argv) {\n",
    "public class Point {\n    private final int x;\n    private final int y;\n",
    "The quick brown fox jumps over the lazy dog. The history of this sentence",
    "SELECT name, COUNT(*) FROM orders WHERE",
]

# Prompts that determine what comes next: those of 22 whose two best logits are never closer than 0.5 in llama.cpp
# itself, so that rounding cannot change the choice.
DECIDED = [
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,",
    "".join(f"self.field{i} = field{i}\n" for i in range(10)),
    "".join(f"<li>item {i}</li>\n" for i in range(10)),
    "".join(f"- [ ] task number {i}\n" for i in range(10)),
    "Mary had a little lamb, its fleece was white as snow.\n" * 6,
    "for (int i = 0; i < n; i++) {\n    sum += a[i];\n}\n" * 6,
    "SELECT name FROM users WHERE id = 1;\n" * 7,
    "| name | age | city |\n|------|-----|------|\n" + "| Anna | 31 | Rome |\n" * 8,
    "".join(f"#define FLAG_{i} {i}\n" for i in range(12)),
    "".join(f"print({i})\n" for i in range(14)),
]


def main():
    model, out = sys.argv[1:3]
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 64
    llm = llama_cpp.Llama(model_path=model, n_ctx=2048, n_batch=512, n_threads=1, verbose=False)
    cases = []
    for prompt in DECIDED + FREE:
        ids = llm.tokenize(prompt.encode(), add_bos=False, special=False)
        llm.reset()
        llm.eval(ids)
        greedy, gaps = [], []
        for _ in range(steps):
            pointer = llama_cpp.llama_get_logits_ith(llm.ctx, -1)
            logits = np.ctypeslib.as_array(pointer, shape=(llm.n_vocab(),))
            first, second = np.argsort(-logits, kind="stable")[:2]
            greedy.append(int(first))
            gaps.append(round(float(logits[first] - logits[second]), 4))
            llm.eval([int(first)])
        cases.append({"prompt": prompt, "ids": ids, "greedy": greedy, "gap": gaps})
    with open(out, "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


main()
