"""The converters of LLaMA-Factory, axolotl and datasets, in their own environment: how they read exported files.

Arguments: the reader, a folder and, for LLaMA-Factory, the name of a dataset. Prints one line of JSON for each row.
Started by test_targets.py.

The two trainers are installed without what they need to train (torch, and gigabytes more). Their converters are loaded
from the packages as they are; what they import beside that, a logger and some constants, is given to them here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

SITE = Path(sysconfig.get_paths()["purelib"])


def bare_package(*names: str) -> None:
    """Packages whose modules can be imported one by one, without what their ``__init__`` would import."""
    for name in names:
        package = types.ModuleType(name)
        package.__path__ = [str(SITE.joinpath(*name.split(".")))]
        sys.modules[name] = package


def given_module(name: str, **content: Any) -> types.ModuleType:
    """A module with this content, in place of the package's own."""
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    setattr(sys.modules[parent], last, module)
    return module


def rank_logger(name: str | None = None) -> logging.Logger:
    logger = logging.getLogger(name)
    for level in ("info", "warning"):
        for suffix in ("rank0", "rank0_once"):
            setattr(logger, f"{level}_{suffix}", getattr(logger, level))
    return logger


def rows_of(path: Path) -> Any:
    """The rows as LLaMA-Factory loads them: by the builder for JSON, from the file alone."""
    from datasets import load_dataset

    cache = path.parent.parent / f"cache-{path.parent.name}"
    return load_dataset("json", data_files=[str(path)], split="train", cache_dir=str(cache))


def llamafactory(folder: Path, name: str) -> list[Any]:
    """Each row as its converter and its formatters take it; a row that it drops has no response."""
    bare_package("llamafactory", "llamafactory.extras", "llamafactory.data")
    given_module("llamafactory.extras.logging", get_logger=rank_logger)
    given_module("llamafactory.extras.constants", DATA_CONFIG="dataset_info.json")
    given_module("llamafactory.extras.misc", use_modelscope=lambda: False, use_openmind=lambda: False)
    given_module("llamafactory.data.mm_plugin", get_mm_plugin=lambda *_, **__: None)
    from llamafactory.data.converter import align_dataset
    from llamafactory.data.parser import get_dataset_list
    from llamafactory.data.template import TEMPLATES

    (attributes,) = get_dataset_list([name], str(folder))
    data = types.SimpleNamespace(streaming=False, preprocessing_num_workers=1, overwrite_cache=True, media_dir="")
    aligned = align_dataset(
        rows_of(folder / attributes.dataset_name), attributes, data, types.SimpleNamespace(local_process_index=0)
    )
    template = TEMPLATES["qwen"]
    words = {"thought_words": template.thought_words, "tool_call_words": template.tool_call_words}

    def said(message: dict[str, str]) -> dict[str, Any]:
        if message["role"] == "user":
            printed = "".join(template.format_user.apply(content=message["content"], idx="7"))
            return message if message["content"] in printed else {"role": "user", "content": printed}
        if message["role"] != "function":
            return message
        text = "".join(template.format_function.apply(content=message["content"], **words))
        calls = template.extract_tool(text[text.index("<tool_call>") :].removesuffix("<|im_end|>\n"))
        before = text[: text.index("<tool_call>")]
        return {
            "role": "function",
            "content": before,
            "calls": [[one.name, json.loads(one.arguments)] for one in calls],
        }

    return [
        {
            "prompt": [said(one) for one in row["_prompt"]],
            "response": [said(one) for one in row["_response"]],
            "system": row["_system"],
            "tools": row["_tools"],
            "tools_text": template.format_tools.apply(content=row["_tools"])[0] if row["_tools"] else "",
        }
        for row in aligned
    ]


def small_tokenizer() -> Any:
    """Bytes as tokens, and the marks of ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bare = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    bare.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def axolotl_modules() -> None:
    bare_package("axolotl.utils", "axolotl.utils.schemas", "axolotl.prompt_strategies", "axolotl.prompt_strategies.dpo")
    given_module("axolotl.utils.logging", get_logger=logging.getLogger)
    given_module("axolotl.utils.schemas.datasets", DatasetConfig=dict)


def split_of(folder: Path, dataset: dict[str, Any]) -> Any:
    """The rows as axolotl loads them from the folder that its configuration names."""
    from datasets import load_dataset

    cache = folder.parent / f"cache-{folder.name}"
    return load_dataset(str(folder / dataset["path"]), split=dataset["split"], cache_dir=str(cache))


def configuration(folder: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load((folder / "axolotl.yaml").read_text("utf-8"))


def axolotl_sft(folder: Path) -> list[Any]:
    """Each row as turns before the template, as its text, and the text that is learned from."""
    axolotl_modules()
    from axolotl.prompt_strategies.chat_template import load
    from axolotl.utils.dict import DictDefault, remove_none_values

    dataset = configuration(folder)["datasets"][0]
    cfg = DictDefault({"sequence_len": 100_000, "train_on_inputs": False, "chat_template": "qwen_25"})
    tokenizer = small_tokenizer()
    strategy = load(tokenizer, cfg, ds_cfg=dataset)
    found = []
    for row in split_of(folder, dataset):
        made = strategy.tokenize_prompt(row)
        learned = [token for token, label in zip(made["input_ids"], made["labels"], strict=True) if label != -100]
        found.append(
            {
                "turns": strategy.get_conversation_thread(remove_none_values(row)),
                "tools": strategy._get_tools(remove_none_values(row)),
                "text": tokenizer.decode(made["input_ids"]),
                "learned": tokenizer.decode(learned),
            }
        )
    return found


def axolotl_dpo(folder: Path) -> list[Any]:
    """Each row as prompt, chosen and rejected, by each template of axolotl that prints a text."""
    axolotl_modules()
    from axolotl.prompt_strategies.dpo.chat_template import default
    from axolotl.utils.chat_templates.base import _CHAT_TEMPLATES
    from jinja2 import TemplateError

    config = configuration(folder)
    dataset = config["datasets"][0]
    tokenizer = small_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    found = []
    for row in split_of(folder, dataset):
        by_template = {}
        for template in sorted(_CHAT_TEMPLATES):
            transform, _ = default({"datasets": [dataset], "chat_template": template})
            try:
                by_template[template] = transform(dict(row), tokenizer=tokenizer)
            except (TemplateError, TypeError, KeyError):
                continue  # this template has no place for a system message, or for one text alone
            by_template[template] = {key: by_template[template][key] for key in ("prompt", "chosen", "rejected")}
        found.append(by_template)
    return found


def folder_of(folder: Path) -> list[Any]:
    """Each row of an exported folder, as ``load_dataset`` finds it by the card."""
    from datasets import load_dataset

    loaded = load_dataset(str(folder), cache_dir=str(folder.parent / f"cache-{folder.name}"))
    return [{"split": split, "row": row} for split in loaded for row in loaded[split]]


def main() -> None:
    reader, folder, *more = sys.argv[1:]
    readers = {
        "llamafactory": llamafactory,
        "axolotl-sft": axolotl_sft,
        "axolotl-dpo": axolotl_dpo,
        "datasets": folder_of,
    }
    out = sys.stdout
    sys.stdout = sys.stderr  # progress bars and warnings go elsewhere
    for row in readers[reader](Path(folder), *more):
        print(json.dumps(row), file=out)


main()
