"""Words to ids. The vocabulary is closed: a word outside it becomes ``<unk>``, and a warning names
it.
"""

from __future__ import annotations

import difflib
import functools
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from difftest.shapes.world import VOCABULARY

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = Path(__file__).parent / "tokenizer.json"
#: Ids per prompt, ``<bos>`` and ``<eos>`` included. The longest caption takes 14.
MAX_TOKENS = 16
PAD_ID, BOS_ID, UNK_ID, EOS_ID = map(VOCABULARY.index, ("<pad>", "<bos>", "<unk>", "<eos>"))
#: Similarity (difflib's ratio) from which a known word is offered for an unknown one.
_NEAR = 0.6

TokenIds = npt.NDArray[np.int64]


class PromptWarning(UserWarning):
    """A prompt says something this world has no word for, or more than fits."""


class Words:
    """The tokenizer of a ``tokenizer.json``, loaded when first used."""

    def __init__(self, file: Path = TOKENIZER_FILE) -> None:
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: there is no tokenizer")
        self.file = file

    @functools.cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.file))

    def tokenize(self, prompts: Sequence[str]) -> TokenIds:
        """Ids, ``int64 (N, 16)``, padded; warns about unknown words and cut prompts."""
        encodings = self._tokenizer.encode_batch(list(prompts))
        unknown = self._tokenizer.token_to_id("<unk>")
        for prompt, encoding in zip(prompts, encodings, strict=True):
            if unknown in encoding.ids or encoding.overflowing:
                self._warn(prompt)
        return np.array([encoding.ids for encoding in encodings], np.int64).reshape(-1, MAX_TOKENS)

    def _warn(self, prompt: str) -> None:
        words = [word for word, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(prompt.lower())]
        known = [word for word in VOCABULARY if not word.startswith("<")]
        for word in dict.fromkeys(words):
            if word in known:
                continue
            nearest = difflib.get_close_matches(word, known, n=1, cutoff=_NEAR)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"it knows: {' '.join(known)}"
            _say(f"the embedded model has no word {word!r} (in {prompt!r}); {hint}")
        room = MAX_TOKENS - 2
        if len(words) > room:
            cut = " ".join(words[room:])
            _say(f"the embedded model reads {room} words; it did not read {cut!r} of {prompt!r}")


def _say(message: str) -> None:
    warnings.warn(message, PromptWarning, stacklevel=2)


@functools.cache
def _shipped() -> Words:
    return Words()


def tokenize(prompts: Sequence[str]) -> TokenIds:
    """Ids by the shipped tokenizer, ``int64 (N, 16)``."""
    return _shipped().tokenize(prompts)


def build_tokenizer() -> Tokenizer:
    """The tokenizer of the shipped ``tokenizer.json``, built from the vocabulary of the world."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {word: index for index, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS_ID), ("<eos>", EOS_ID)]
    )
    tokenizer.add_special_tokens(["<pad>", "<bos>", "<unk>", "<eos>"])
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token="<pad>", length=MAX_TOKENS)
    return tokenizer


def write_tokenizer(path: Path = TOKENIZER_FILE) -> None:
    """Write ``tokenizer.json`` as it is shipped."""
    text = json.loads(build_tokenizer().to_str())
    path.write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
