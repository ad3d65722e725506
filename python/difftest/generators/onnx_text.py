"""The CLIP tokenizer of an exported folder, without transformers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from difftest.errors import GeneratorError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenIds = npt.NDArray[np.int64]
#: How CLIP cuts a text into words (openai/CLIP, simple_tokenizer.py; Radford et al., arXiv 2103.00020).
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class ClipTokenizer:
    """Prompts to ids, padded and cut to the model's length."""

    def __init__(self, folder: Path) -> None:
        """``folder`` holds ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``, as transformers writes them."""
        config = _json(folder / "tokenizer_config.json")
        special = {**config, **_json(folder / "special_tokens_map.json")}
        self._tokenizer = _load(folder, special)
        length = int(config.get("model_max_length", 77))
        pad = _word(special.get("pad_token")) or _word(special.get("eos_token")) or ""
        pad_id = self._tokenizer.token_to_id(pad)
        if pad_id is None:
            raise GeneratorError(f"the tokenizer in {folder} has no token {pad!r} to pad with")
        self._tokenizer.enable_truncation(length)
        self._tokenizer.enable_padding(length=length, pad_id=pad_id, pad_token=pad)

    def __call__(self, prompts: Sequence[str]) -> TokenIds:
        """``int64 (N, length)``."""
        return np.array(
            [found.ids for found in self._tokenizer.encode_batch(list(prompts))], np.int64
        )


def _load(folder: Path, special: dict[str, Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    whole = folder / "tokenizer.json"
    if whole.is_file():
        return Tokenizer.from_file(str(whole))
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    if not (vocabulary.is_file() and merges.is_file()):
        raise GeneratorError(
            f"{folder} holds neither tokenizer.json, nor vocab.json and merges.txt: it is no CLIP tokenizer"
        )
    unknown = _word(special.get("unk_token")) or "<|endoftext|>"
    model = models.BPE.from_file(
        str(vocabulary), str(merges), unk_token=unknown, end_of_word_suffix="</w>"
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    first = _word(special.get("bos_token")) or "<|startoftext|>"
    last = _word(special.get("eos_token")) or "<|endoftext|>"
    ids = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    if any(found is None for _, found in ids):
        raise GeneratorError(f"the vocabulary in {folder} lacks {first} or {last}")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=ids
    )
    return tokenizer


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _word(token: Any) -> str | None:
    """A special token is a text, or a table with one."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None
