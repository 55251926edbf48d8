#!/usr/bin/env python3
"""What two independent engines compute, for tests/it/model/parity.rs to compare with.

Usage: make_references.py FOLDER [NAME..]     (FOLDER is tests/parity; run outside CI, the packages are large)

Made with Python 3.11, torch 2.15.0, transformers 4.57.1, gguf 0.19.0 and llama-cpp-python 0.3.36 (llama.cpp 0c1e57098).

Models in the shapes of Phi-3.5-mini and Phi-4-mini, with a subset of the real rotary factors:

NAME.gguf, NAME.json              random weights in F32. transformers' Phi3ForCausalLM: the residual stream after every
                                  layer, the logits, and greedy tokens, below and above 4096 positions
NAME-q4_k_m.gguf, NAME-q4_k_m.json (and q5_k_m)
                                  trained weights in the mixtures of Q4_K, Q5_K and Q6_K that published files have.
                                  llama.cpp: logits and greedy tokens, below and above 4096 positions. Also what
                                  transformers computes from the same weights in f32: how far llama.cpp is from that
                                  is what rounding activations costs it

And the families beside the Phis, in positions that need no second list of factors:

qwen2-shaped (biases of queries, keys and values), qwen3-shaped (norms of heads, heads wider than their share), llama-3.2-shaped
(one list of rotary factors, rows permuted), deepseek-coder-shaped (positions divided), granite-code-shaped (biases everywhere),
granite-shaped (multipliers), phi-3-window-shaped (a sliding window), each against transformers; and three of them trained and
quantised, against llama.cpp.

Random weights have no confident next token, so rounding alone would part two engines. Training gives one: the models
learn one melody of few notes by heart, with both lists of factors. Only three notes or more tell where in the melody
one is, so what comes next hangs on attention to exact distances, which is what wrong rotary factors spoil.

Each transformers reference comes twice: as it is, and with cached keys and values rounded to f16, which is how the
engine under test stores them. The second leaves only the order of sums to differ, so it can be compared tightly.
"""
import ctypes
import json
import math
import os
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np
import torch
import transformers
from transformers import (
    AutoModelForCausalLM, DynamicCache, GraniteConfig, LlamaConfig, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen3Config,
)

ORIGINAL, CONTEXT = 4096, 131072
VOCAB = 320
GREEDY_STEPS = 64
# The length of the melody that the trained models learn, and how many notes it has.
MELODY_LEN, NOTES = 512, 24
# Steps of training at a batch size and a length, the last ones beyond the original context.
TRAINING = [(200, 8, 128), (80, 2, 1024), (60, 1, 4400)]
# Notes at the start of a window that are not learned, because too few notes do not determine the place in the melody.
LEAD_IN = 8
# The noise that training adds to the weights, as a part of their spread, so that rounding to 4 bits does not matter.
SHAKING = 0.05
# Every sixth factor of Phi-3.5-mini, and of Phi-4-mini.
SHORT_35 = [1.0, 1.0499999523162842, 1.1599998474121094, 1.8499997854232788, 2.0199997425079346, 2.0299997329711914, 2.0299997329711914, 2.5899994373321533]
LONG_35 = [1.0800000429153442, 1.6200000047683716, 7.700000286102295, 30.420001983642578, 50.340003967285156, 62.61000442504883, 63.93000411987305, 64.41000366210938]
LONG_4 = [1.0, 1.956131817, 3.826451687, 7.485043894, 14.64173252, 28.64115884]


def stretched(factors, count):
    """`count` factors interpolated from `factors`, since larger heads have more of them."""
    at = np.linspace(0, len(factors) - 1, count)
    return [float(np.float32(x)) for x in np.interp(at, range(len(factors)), factors)]


def config(name, hidden, intermediate, heads, kv_heads, rotary, tied, short, long):
    half = int(hidden // heads * rotary) // 2
    return name, Phi3Config(
        vocab_size=VOCAB, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=kv_heads, rms_norm_eps=1e-5, rope_theta=10000.0,
        max_position_embeddings=CONTEXT, original_max_position_embeddings=ORIGINAL, partial_rotary_factor=rotary,
        rope_scaling={"type": "longrope", "short_factor": stretched(short, half), "long_factor": stretched(long, half)},
        sliding_window=262144, tie_word_embeddings=tied, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        attn_implementation="eager",
    )


SMALL = [
    config("phi-3.5-shaped", 32, 64, 2, 2, 1.0, False, SHORT_35, LONG_35),
    config("phi-4-shaped", 48, 64, 3, 1, 0.75, True, [1.0], LONG_4),
]
# K-quants have blocks of 256.
QUANTIZED = [
    (llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M, *config("phi-3.5-shaped-q4_k_m", 256, 256, 4, 4, 1.0, False, SHORT_35, LONG_35)),
    (llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M, *config("phi-4-shaped-q5_k_m", 256, 256, 4, 2, 0.75, True, [1.0], LONG_4)),
]


def sizes(hidden, heads, kv_heads, tied, **others):
    return dict(
        vocab_size=VOCAB, hidden_size=hidden, intermediate_size=hidden if hidden >= 256 else 64, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=kv_heads, rms_norm_eps=1e-6, tie_word_embeddings=tied,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, attn_implementation="eager", **others,
    )


LLAMA_3 = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def llama_32(hidden, heads, kv_heads):
    return LlamaConfig(**sizes(hidden, heads, kv_heads, True), rope_theta=500000.0, rope_scaling=LLAMA_3, max_position_embeddings=131072)


OTHERS = {
    "qwen2-shaped": Qwen2Config(**sizes(32, 2, 1, True), rope_theta=1000000.0, max_position_embeddings=32768),
    "qwen3-shaped": Qwen3Config(**sizes(32, 2, 1, False), head_dim=32, rope_theta=1000000.0, max_position_embeddings=40960),
    "llama-3.2-shaped": llama_32(32, 2, 1),
    "deepseek-coder-shaped": LlamaConfig(
        **sizes(32, 2, 2, False), rope_theta=100000.0, rope_scaling={"rope_type": "linear", "factor": 4.0}, max_position_embeddings=16384
    ),
    "granite-code-shaped": LlamaConfig(
        **sizes(32, 2, 2, True), rope_theta=10000.0, attention_bias=True, mlp_bias=True, max_position_embeddings=2048
    ),
    "granite-shaped": GraniteConfig(
        **sizes(32, 2, 1, True), rope_theta=10000.0, max_position_embeddings=4096, embedding_multiplier=12.0,
        attention_multiplier=0.0625, residual_multiplier=0.22, logits_scaling=8.0,
    ),
    "phi-3-window-shaped": Phi3Config(**sizes(32, 2, 2, False), rope_theta=10000.0, max_position_embeddings=4096, sliding_window=100),
}
OTHERS_QUANTIZED = {
    "qwen2-shaped-q4_k_m": (
        llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M, Qwen2Config(**sizes(256, 4, 2, True), rope_theta=1000000.0, max_position_embeddings=32768),
    ),
    "qwen3-shaped-iq4_xs": (
        llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_XS,
        Qwen3Config(**sizes(256, 4, 2, True), head_dim=64, rope_theta=1000000.0, max_position_embeddings=40960),
    ),
    "llama-3.2-shaped-iq4_nl": (llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_NL, llama_32(256, 4, 2)),
}
# Positions of the models without a second list of factors.
SHORT_LEN = 300


def build(config, seed, gain):
    """A model with large enough weights: the usual initialisation makes attention uniform, which hides positions."""
    generator = torch.Generator().manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("bias"):
                weight.copy_(0.3 * noise)
            else:
                weight.copy_(1 + 0.1 * noise if weight.dim() == 1 else gain / math.sqrt(weight.shape[1]) * noise)
    return model


def melody(seed):
    """Notes from the whole vocabulary in an order in which any four of them occur once."""
    generator = np.random.default_rng(seed)
    notes = generator.choice(np.arange(3, VOCAB), NOTES, replace=False)
    while True:
        tokens = generator.choice(notes, MELODY_LEN)
        if len({tuple(np.roll(tokens, -at)[:4]) for at in range(MELODY_LEN)}) == MELODY_LEN:
            return tokens


def played(melody, start, count):
    """`count` tokens of the repeated melody from `start` on."""
    return melody[np.arange(start, start + count) % MELODY_LEN].tolist()


def with_factors(config, factors):
    """The configuration with one list of factors for every length."""
    factor_list = config.rope_scaling[f"{factors}_factor"]
    scaling = {"type": "longrope", "short_factor": factor_list, "long_factor": factor_list}
    return Phi3Config(**{**config.to_dict(), "rope_scaling": scaling, "attn_implementation": "eager"})


def train(config, seed):
    """A model that is trained on `melody(seed)`, rotated with either list of factors."""
    model = build(config, seed, 0.5)
    parameters = dict(model.named_parameters())
    if config.model_type == "phi3":
        rotated, training = [Phi3ForCausalLM(with_factors(config, factors)).float() for factors in ["short", "long"]], TRAINING
    else:
        rotated, training = [AutoModelForCausalLM.from_config(config).float()], TRAINING[:2]
    for each in rotated:
        each.set_attn_implementation("sdpa")
    steps = sum(steps for steps, _, _ in training)
    optimizer = torch.optim.AdamW(parameters.values(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    generator, tune = torch.Generator().manual_seed(seed), melody(seed)
    for step, (batch, length) in enumerate((batch, length) for steps, batch, length in training for _ in range(steps)):
        starts = torch.randint(MELODY_LEN, (batch,), generator=generator).tolist()
        tokens = torch.tensor([played(tune, start, length + 1) for start in starts])
        shaken = {
            name: weight if weight.dim() == 1 else weight + SHAKING * weight.detach().std() * torch.randn(weight.shape, generator=generator)
            for name, weight in parameters.items()
        }
        logits = torch.func.functional_call(rotated[step % len(rotated)], shaken, kwargs={"input_ids": tokens[:, :-1], "use_cache": False}).logits
        loss = torch.nn.functional.cross_entropy(logits[:, LEAD_IN:].flatten(0, 1), tokens[:, LEAD_IN + 1 :].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    return model.eval()


def vocabulary():
    """SPM: bytes, some pieces, Phi-3's role tokens."""
    normal, unknown, control, byte = 1, 2, 3, 6
    tokens = [("<unk>", unknown), ("<s>", control), ("</s>", control)]
    tokens += [(f"<0x{value:02X}>", byte) for value in range(256)]
    roles = ["<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"]
    pieces = VOCAB - len(tokens) - len(roles)
    tokens += [("▁" + chr(ord("a") + index) if index < 26 else chr(ord("a") + index - 26), normal) for index in range(pieces)]
    return tokens + [(role, control) for role in roles]


NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output",
    "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
}


def gguf_name(key):
    base, kind = key.rsplit(".", 1)
    if not base.startswith("model.layers."):
        return f"{NAMES[base]}.{kind}"
    _, _, layer, part = base.split(".", 3)
    return f"blk.{layer}.{NAMES[part]}.{kind}"


def permuted(config, key, weight):
    """Rows of queries and keys in the order of `llama` and `granite` files: the halves of a head are interleaved."""
    if config.model_type not in ("llama", "granite") or not ("q_proj" in key or "k_proj" in key):
        return weight
    heads = config.num_attention_heads if "q_proj" in key else config.num_key_value_heads
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def unpermuted(config, key, weight):
    if config.model_type not in ("llama", "granite") or not ("q_proj" in key or "k_proj" in key):
        return weight
    heads = config.num_attention_heads if "q_proj" in key else config.num_key_value_heads
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def llama_3_factors(config, head_dim):
    """`rope_freqs.weight` as llama.cpp's converter computes it."""
    scaling, factors = config.rope_scaling, []
    low, high = (scaling["original_max_position_embeddings"] / scaling[which] for which in ["low_freq_factor", "high_freq_factor"])
    for index in range(0, head_dim, 2):
        wave = 2 * math.pi * config.rope_theta ** (index / head_dim)
        if wave < high:
            factors.append(1.0)
        elif wave > low:
            factors.append(scaling["factor"])
        else:
            smooth = (scaling["original_max_position_embeddings"] / wave - scaling["low_freq_factor"]) / (
                scaling["high_freq_factor"] - scaling["low_freq_factor"]
            )
            factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(factors, np.float32)


def add_family(writer, config):
    """The entries that llama.cpp's converter writes for a family, beside sizes and vocabulary."""
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    scaling = config.rope_scaling or {}
    if config.model_type == "qwen3":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    elif config.model_type in ("llama", "granite", "phi3"):
        writer.add_rope_dimension_count(head_dim)
        writer.add_vocab_size(VOCAB)
    if config.model_type == "phi3":
        writer.add_rope_scaling_orig_ctx_len(config.max_position_embeddings)
        writer.add_sliding_window(config.sliding_window)
    if config.model_type == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if scaling.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    if scaling.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama_3_factors(config, head_dim))


def export(model, name, path):
    """The entries that llama.cpp's converter writes for the model's class."""
    config = model.config
    writer = gguf.GGUFWriter(path, config.model_type)
    writer.add_name(name)
    if config.model_type == "phi3" and config.rope_scaling:
        add_phi(writer, config)
    else:
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_theta)
        add_family(writer, config)
    tokens, kinds = zip(*vocabulary())
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(index) for index in range(VOCAB)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(tokens.index("<|endoftext|>"))
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    for key, weight in model.named_parameters():
        writer.add_tensor(gguf_name(key), np.ascontiguousarray(permuted(config, key, weight.detach().numpy())))
    if config.model_type == "phi3" and config.rope_scaling:
        for which in ["long", "short"]:
            writer.add_tensor(f"rope_factors_{which}.weight", np.array(config.rope_scaling[f"{which}_factor"], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_phi(writer, config):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(2 * len(config.rope_scaling["short_factor"]))
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_sliding_window(config.sliding_window)
    ratio = config.max_position_embeddings / config.original_max_position_embeddings
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(ratio) / math.log(config.original_max_position_embeddings)))


class HalfCache(DynamicCache):
    """Returns keys and values rounded as in an f16 cache."""

    def update(self, key, value, layer_idx, cache_kwargs=None):
        return super().update(key.half().float(), value.half().float(), layer_idx, cache_kwargs)


def run(model, tokens, cache, past_len=0):
    """Residual stream after the embedding and every layer, and the logits, `(positions, ..)`."""
    stages, hooks = [], []
    hooks.append(model.model.embed_tokens.register_forward_hook(lambda _m, _i, out: stages.append(out)))
    for layer in model.model.layers:
        hooks.append(layer.register_forward_hook(lambda _m, _i, out: stages.append(out[0] if isinstance(out, tuple) else out)))
    with torch.no_grad():
        positions = torch.arange(past_len, past_len + len(tokens))
        logits = model(
            torch.tensor([tokens]), past_key_values=cache, use_cache=True, position_ids=positions[None],
            cache_position=positions,
        ).logits[0]
    for hook in hooks:
        hook.remove()
    # Granite's embedding is scaled after the module that the hook sees.
    stages[0] = stages[0] * getattr(model.config, "embedding_multiplier", 1.0)
    return [stage.reshape(len(tokens), -1) for stage in stages], logits


def greedy(model, factors, prompt):
    """A continuation, and the lead of the best logit over the second at each step."""
    chosen, gaps, cache = [], [], HalfCache()
    _, logits = run(model, prompt, cache)
    for step in range(GREEDY_STEPS):
        best = torch.topk(logits[-1], 2)
        chosen.append(int(best.indices[0]))
        gaps.append(float(best.values[0] - best.values[1]))
        _, logits = run(model, chosen[-1:], cache, len(prompt) + step)
    return {"factors": factors, "prompt": prompt, "greedy": chosen, "gaps": rounded(np.array(gaps))}


def rounded(values, digits=7):
    return [float(f"{value:.{digits}g}") for value in values.flatten().tolist()]


def random_tokens(count, seed):
    return np.random.default_rng(seed).integers(3, VOCAB, count).tolist()


def torch_case(model, factors, tokens, positions):
    case = {"factors": factors, "tokens": tokens, "positions": positions, "references": {}}
    for kind, cache in [("f32", DynamicCache), ("f16_cache", HalfCache)]:
        stages, logits = run(model, tokens, cache())
        case["references"][kind] = {
            "hidden_states": [rounded(stage[positions]) for stage in stages],
            "logits": rounded(logits[positions]),
        }
    return case


def torch_reference(folder, name, config, seed):
    model = build(config, seed, 1.5)
    export(model, name, os.path.join(folder, name + ".gguf"))
    tokens = random_tokens(4200, seed)
    # transformers takes the long factors as soon as a pass reaches beyond 4096 positions, for all of them.
    cases = [
        torch_case(model, "short", tokens[:4096], [0, 1, 2048, 4095]),
        torch_case(model, "long", tokens, [0, 1, 2048, 4095, 4096, 4097, 4199]),
    ]
    continuations = [greedy(model, "short", tokens[:100]), greedy(model, "long", tokens[:4100])]
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, gguf 0.19.0"
    write(folder, name, versions, config, cases, continuations)


def other_reference(folder, name, config, seed):
    model = build(config, seed, 1.5)
    export(model, name, os.path.join(folder, name + ".gguf"))
    tokens = random_tokens(SHORT_LEN, seed)
    cases = [torch_case(model, "short", tokens, [0, 1, 99, 100, 101, SHORT_LEN - 1])]
    continuations = [greedy(model, "short", tokens[:100])]
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, gguf 0.19.0"
    write(folder, name, versions, config, cases, continuations)


def llama(path, factors):
    """llama.cpp takes the long factors if its context is longer than the original one."""
    n_ctx = {"short": ORIGINAL, "long": 2 * ORIGINAL}[factors]
    return llama_cpp.Llama(
        path, n_ctx=n_ctx, n_batch=512, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False, flash_attn=False
    )


def llama_case(path, config, factors, tokens, positions):
    llm = llama(path, factors)
    llm.eval(tokens)
    logits = np.array(llm.scores[: len(tokens)])
    best_two = np.sort(logits, axis=1)[:, -2:]
    stages, exact_logits = run(dequantized(path, config, factors), tokens, HalfCache())
    return {
        "factors": factors, "tokens": tokens, "positions": positions,
        "references": {
            "llama.cpp": {"hidden_states": [], "logits": rounded(logits[positions], 5)},
            "exact": {
                "hidden_states": [rounded(stage[positions], 5) for stage in stages],
                "logits": rounded(exact_logits[positions], 5),
            },
        },
        "best": [int(token) for token in logits.argmax(axis=1)],
        "best_gaps": rounded(best_two[:, 1] - best_two[:, 0], 3),
    }


def llama_greedy(llm, factors, prompt):
    llm.reset()
    llm.eval(prompt)
    chosen, gaps = [], []
    for _ in range(GREEDY_STEPS):
        row = np.array(llm.scores[llm.n_tokens - 1])
        order = np.argsort(row)
        chosen.append(int(order[-1]))
        gaps.append(float(row[order[-1]] - row[order[-2]]))
        llm.eval(chosen[-1:])
    return {"factors": factors, "prompt": prompt, "greedy": chosen, "gaps": rounded(np.array(gaps), 5)}


def quantize(source, target, file_type):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = file_type
    params.nthread = 1
    if llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)) != 0:
        sys.exit(f"cannot quantise {source}")


def dequantized(path, config, factors):
    """The weights of a quantised file in transformers, with one list of factors whatever the length."""
    phi = config.model_type == "phi3"
    model = AutoModelForCausalLM.from_config(with_factors(config, factors) if phi else config).float().eval()
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    with torch.no_grad():
        for key, weight in model.named_parameters():
            tensor = tensors[gguf_name(key)]
            values = np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).reshape(weight.shape)
            weight.copy_(torch.from_numpy(np.ascontiguousarray(unpermuted(config, key, values))))
    return model


def llama_reference(folder, file_type, name, config, seed):
    target = os.path.join(folder, name + ".gguf")
    with tempfile.TemporaryDirectory() as temporary:
        source = os.path.join(temporary, "f32.gguf")
        export(train(config, seed), name, source)
        quantize(source, target, file_type)
    # A melody that the model knows, followed by notes that it does not know.
    tune = melody(seed)
    tokens = played(tune, 37, 300) + random_tokens(300, seed)
    cases = [
        llama_case(target, config, "short", tokens, [0, 1, 150, 299, 300, 599]),
        llama_case(target, config, "long", played(tune, 37, 4150) + tokens[300:350], [0, 1, 2048, 4095, 4096, 4097, 4149, 4199]),
    ]
    # Short, long, up to the original context, across its end, and beyond it.
    prompts = {"short": [(3, 12), (100, 40), (250, 700), (7, 4032)], "long": [(77, 50), (300, 4064), (9, 4100), (480, 5000)]}
    continuations = []
    for factors, starts in prompts.items():
        llm = llama(target, factors)
        continuations += [llama_greedy(llm, factors, played(tune, start, count)) for start, count in starts]
        for (start, count), found in zip(starts, continuations[-len(starts) :]):
            if found["greedy"] != played(tune, start + count, GREEDY_STEPS):
                print(f"{name}, {factors} factors: after {count} notes from {start} the melody is another")
    versions = f"llama-cpp-python {llama_cpp.__version__}, torch {torch.__version__}, transformers {transformers.__version__}"
    write(folder, name, versions, config, cases, continuations)


def other_llama_reference(folder, file_type, name, config, seed):
    target = os.path.join(folder, name + ".gguf")
    with tempfile.TemporaryDirectory() as temporary:
        source = os.path.join(temporary, "f32.gguf")
        export(train(config, seed), name, source)
        quantize(source, target, file_type)
    tune = melody(seed)
    tokens = played(tune, 37, 300) + random_tokens(100, seed)
    cases = [llama_case(target, config, "short", tokens, [0, 1, 150, 299, 300, 399])]
    llm = llama(target, "short")
    starts = [(3, 12), (100, 40), (250, 700)]
    continuations = [llama_greedy(llm, "short", played(tune, start, count)) for start, count in starts]
    for (start, count), found in zip(starts, continuations):
        if found["greedy"] != played(tune, start + count, GREEDY_STEPS):
            print(f"{name}: after {count} notes from {start} the melody is another")
    versions = f"llama-cpp-python {llama_cpp.__version__}, torch {torch.__version__}, transformers {transformers.__version__}"
    write(folder, name, versions, config, cases, continuations)


def write(folder, name, versions, config, cases, continuations):
    reference = {
        "made_with": versions, "hidden_size": config.hidden_size, "vocab_size": VOCAB, "cases": cases,
        "continuations": continuations,
    }
    with open(os.path.join(folder, name + ".json"), "w") as file:
        json.dump(reference, file, separators=(",", ":"))
    for each in continuations:
        print(f"{name}, {each['factors']} factors, {len(each['prompt'])} tokens: smallest lead {min(each['gaps'])}", flush=True)


def main():
    folder, names = sys.argv[1], sys.argv[2:]
    torch.set_num_threads(1)
    wanted = lambda name: not names or name in names
    for seed, (name, config) in enumerate(SMALL):
        if wanted(name):
            torch_reference(folder, name, config, seed)
    for seed, (file_type, name, config) in enumerate(QUANTIZED):
        if wanted(name):
            llama_reference(folder, file_type, name, config, seed)
    for seed, (name, config) in enumerate(OTHERS.items()):
        if wanted(name):
            other_reference(folder, name, config, seed)
    for seed, (name, (file_type, config)) in enumerate(OTHERS_QUANTIZED.items()):
        if wanted(name):
            other_llama_reference(folder, file_type, name, config, seed)


main()
