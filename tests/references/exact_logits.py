#!/usr/bin/env python3
"""How far phi-ls and llama.cpp are from exact arithmetic, and whether that explains the tokens at which they differ.

Usage: exact_logits.py MODEL.gguf GREEDY.json PHI_LS > REPORT.md
       MODEL.gguf   a model of architecture phi3; GREEDY.json its continuations, made by llama_cpp_greedy.py
       PHI_LS       the program under test
Made with Python 3.11, numpy 2.4.6, gguf 0.19.0 and llama-cpp-python 0.3.36 (llama.cpp 0c1e57098). Run outside CI.

Both engines read the same quantised weights, round activations to 8 bits in blocks of their own, and keep keys and
values in f16. Here the weights are dequantised, layer by layer, and everything else is computed in f64. Along
llama.cpp's own continuation this gives, at every step, each engine's error over the whole vocabulary, and at the steps
where the engines choose different tokens the true difference of the two: an engine may prefer the wrong one of two
tokens only where their true difference is below its error there.
"""
import json
import subprocess
import sys

import gguf
import llama_cpp
import numpy as np

ROWS_AT_ONCE = 8192


class Weights:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.settings = {key: field for key, field in reader.fields.items() if key.startswith("phi3.")}

    def setting(self, key):
        return self.settings[f"phi3.{key}"].contents()

    def rows(self, name, rows=slice(None)):
        """Rows of a tensor as f64."""
        tensor = self.tensors[name]
        return gguf.quants.dequantize(tensor.data[rows], tensor.tensor_type).astype(np.float64)

    def product(self, inputs, name):
        """`inputs @ weight.T`, computed for a part of the weight's rows at a time."""
        count = len(self.tensors[name].data)
        starts = range(0, count, ROWS_AT_ONCE)
        return np.concatenate([inputs @ self.rows(name, slice(at, at + ROWS_AT_ONCE)).T for at in starts], axis=1)


def rms_norm(hidden, weight, epsilon):
    return hidden / np.sqrt((hidden**2).mean(axis=-1, keepdims=True) + epsilon) * weight


def rotate(heads, cos, sin):
    """`heads` is `(positions, heads, head_dim)`; the first `2 * half` elements of each head are rotated in pairs `half` apart."""
    half = cos.shape[1]
    first, second, rest = heads[..., :half], heads[..., half : 2 * half], heads[..., 2 * half :]
    cos, sin = cos[:, None], sin[:, None]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin, rest], axis=-1)


def attention(qkv, heads, kv_heads, tables):
    """Causal attention of one sequence, `(positions, heads * head_dim)`."""
    length, head_dim = len(qkv), qkv.shape[1] // (heads + 2 * kv_heads)
    query, key, value = np.split(qkv.reshape(length, -1, head_dim), [heads, heads + kv_heads], axis=1)
    query, key = (rotate(part, *(table[:length] for table in tables)) for part in (query, key))
    key, value = (np.repeat(part, heads // kv_heads, axis=1) for part in (key, value))
    scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(head_dim)
    scores[:, np.triu(np.ones((length, length), bool), 1)] = -np.inf
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.einsum("hqk,khd->qhd", scores / scores.sum(axis=-1, keepdims=True), value).reshape(length, -1)


def exact_logits(path, sequences, wanted):
    """The logits at the `wanted` positions of each sequence, with the short rotary factors."""
    weights = Weights(path)
    heads, kv_heads = weights.setting("attention.head_count"), weights.setting("attention.head_count_kv")
    epsilon, dim = weights.setting("attention.layer_norm_rms_epsilon"), weights.setting("rope.dimension_count")
    factors = weights.rows("rope_factors_short.weight")
    inv_freq = 1 / (factors * weights.setting("rope.freq_base") ** (np.arange(0, dim, 2) / dim))
    angles = np.arange(max(map(len, sequences)))[:, None] * inv_freq
    tables = [weights.setting("rope.scaling.attn_factor") * table for table in (np.cos(angles), np.sin(angles))]
    borders = np.cumsum([len(tokens) for tokens in sequences])
    hidden = np.concatenate([weights.rows("token_embd.weight", tokens) for tokens in sequences])
    layers = weights.setting("block_count")
    for layer in range(layers):
        print(f"layer {layer + 1} of {layers}", file=sys.stderr)
        name = f"blk.{layer}.{{}}.weight".format
        qkv = weights.product(rms_norm(hidden, weights.rows(name("attn_norm")), epsilon), name("attn_qkv"))
        parts = [attention(part, heads, kv_heads, tables) for part in np.split(qkv, borders[:-1])]
        hidden = hidden + weights.product(np.concatenate(parts), name("attn_output"))
        gate_up = weights.product(rms_norm(hidden, weights.rows(name("ffn_norm")), epsilon), name("ffn_up"))
        gate, up = np.split(gate_up, 2, axis=1)
        hidden = hidden + weights.product(gate / (1 + np.exp(-gate)) * up, name("ffn_down"))
    kept = np.concatenate([part[positions] for part, positions in zip(np.split(hidden, borders[:-1]), wanted)])
    output = "output.weight" if "output.weight" in weights.tensors else "token_embd.weight"
    logits = weights.product(rms_norm(kept, weights.rows("output_norm.weight"), epsilon), output)
    return np.split(logits, np.cumsum([len(positions) for positions in wanted])[:-1])


def llama_logits(llm, case):
    """Logits at every step of a continuation, whose tokens are fed one by one, as they were chosen."""
    llm.reset()
    llm.eval(case["ids"])
    rows = []
    for token in case["greedy"]:
        pointer = llama_cpp.llama_get_logits_ith(llm.ctx, -1)
        rows.append(np.array(np.ctypeslib.as_array(pointer, shape=(llm.n_vocab(),))))
        llm.eval([token])
    return np.array(rows)


def phi_ls_logits(program, path, case):
    """The same from phi-ls, whose results do not depend on how tokens are divided into passes."""
    tokens = case["ids"] + case["greedy"][:-1]
    command = [program, "logits", "--model", path, "--tokens", ",".join(map(str, tokens))]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["logits"]
    return np.array(rows[len(case["ids"]) - 1 :], np.float32)


def rms(values):
    return float(np.sqrt((values**2).mean()))


def lead_errors(logits, exact, best_count=5):
    """The errors of the logit differences between any two of the best tokens (by exact logits) at each step."""
    best = np.argsort(exact, axis=1)[:, -best_count:]
    error = np.take_along_axis(logits - exact, best, axis=1)
    left, right = np.triu_indices(best_count, 1)
    return np.abs(error[:, left] - error[:, right])


def report(name, exact, engines):
    """`exact` and the values of `engines` are `(steps, vocabulary)`."""
    print(f"## {name}: {len(exact)} steps\n")
    print("| | logits: error rms | largest | leads among the 5 best: error rms | largest | chose the exactly best token |")
    print("|---|---|---|---|---|---|")
    best_exact = exact.argmax(axis=1)
    for engine, logits in engines.items():
        error, leads = logits - exact, lead_errors(logits, exact)
        right = (logits.argmax(axis=1) == best_exact).sum()
        print(f"| {engine} | {rms(error):.3f} | {np.abs(error).max():.2f} | {rms(leads):.3f} | {leads.max():.2f} | {right} |")
    (theirs_name, theirs), (ours_name, ours) = engines.items()
    spread = rms(exact - exact.mean(axis=1, keepdims=True))
    correlation = np.corrcoef((theirs - exact).ravel(), (ours - exact).ravel())[0, 1]
    print(f"\nLogits spread by {spread:.2f} (standard deviation). The two engines are {rms(theirs - ours):.3f} (rms) apart;")
    print(f"their errors correlate by {correlation:.2f}. Where they choose differently:\n")
    print("| step | llama.cpp / phi-ls | lead of llama.cpp's token: exact | in llama.cpp | in phi-ls | error rms: llama.cpp, phi-ls | right |")
    print("|---|---|---|---|---|---|---|")
    for step in np.flatnonzero(theirs.argmax(axis=1) != ours.argmax(axis=1)):
        first, second = int(theirs[step].argmax()), int(ours[step].argmax())
        lead = [float(row[step, first] - row[step, second]) for row in (exact, theirs, ours)]
        errors = [rms(row[step] - exact[step]) for row in (theirs, ours)]
        right = {first: theirs_name, second: ours_name}.get(int(best_exact[step]), "neither")
        print(f"| {step} | {first} / {second} | {lead[0]:+.3f} | {lead[1]:+.3f} | {lead[2]:+.3f} | {errors[0]:.3f}, {errors[1]:.3f} | {right} |")


def main():
    path, greedy, program = sys.argv[1:4]
    with open(greedy) as file:
        cases = json.load(file)
    llm = llama_cpp.Llama(model_path=path, n_ctx=2048, n_batch=512, n_threads=1, n_threads_batch=1, verbose=False)
    llama = np.concatenate([llama_logits(llm, case) for case in cases])
    del llm
    ours = np.concatenate([phi_ls_logits(program, path, case) for case in cases])
    sequences = [case["ids"] + case["greedy"][:-1] for case in cases]
    wanted = [range(len(case["ids"]) - 1, len(sequence)) for case, sequence in zip(cases, sequences)]
    exact = np.concatenate(exact_logits(path, sequences, wanted))
    report(path.rsplit("/", 1)[-1], exact, {"llama.cpp": llama, "phi-ls": ours})


main()
