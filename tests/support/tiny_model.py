"""A language model with a few thousand weights, a tokenizer and a chat template, created locally."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, trained here, with the chat template of Qwen 2.5 as TRL ships it."""
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bare.train_from_iterator(["What is the weather in Oslo? It snows. Name a red fruit: an apple."], trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    template = Path(trl.__file__).parent / "chat_templates" / "qwen2_5.jinja"
    wrapped.chat_template = template.read_text("utf-8")
    return wrapped


def tiny_config(tokenizer: PreTrainedTokenizerFast, **more: Any) -> Qwen2Config:
    """A model of some thousand weights."""
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **more,
    )


def save_tiny_model(folder: Path) -> Path:
    """The model and its tokenizer in a folder that trainers load like one of the hub."""
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder)
    Qwen2ForCausalLM(tiny_config(tokenizer)).save_pretrained(folder)
    return folder
