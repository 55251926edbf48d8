#!/usr/bin/env python3
"""Converts the starter's GGUF file to a folder that vLLM can load: weights in bfloat16, tokenizer, chat template.

    tests/remote/from_gguf.py MODEL.gguf FOLDER

Needs transformers, accelerate and gguf, which `vllm.sh` installs beside vLLM.
"""

import sys
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

GENERATION = {"max_new_tokens": 12, "do_sample": False}
BEGINNING = "1, 2, 3, 4, 5, 6,"


def main():
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # transformers does not read the pre-tokenizer of a GGUF file. SmolLM2's splits digits.
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    # The weights are dequantised by now, but the model's settings do not say so.
    model.hf_quantizer = None
    model.config.__dict__.pop("quantization_config", None)
    check(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def check(model, tokenizer):
    """Checks the model: one that was read wrongly cannot count."""
    turns = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": BEGINNING}]
    prompt = tokenizer.apply_chat_template(turns, continue_final_message=True, return_tensors="pt", return_dict=True)
    written = tokenizer.decode(model.generate(**prompt, **GENERATION)[0])
    if not written.endswith("1, 2, 3, 4, 5, 6, 7, 8, 9, 10"):
        sys.exit(f"expected the starter to count from {BEGINNING!r} to 10, found {written!r}")


if __name__ == "__main__":
    main()
