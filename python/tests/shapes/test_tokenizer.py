"""Words to ids, and what is said to a person who uses a word this world does not have."""

from __future__ import annotations

import json
import warnings

import pytest

from difftest.shapes.tokenizer import (
    EOS_ID,
    MAX_TOKENS,
    TOKENIZER_FILE,
    PromptWarning,
    build_tokenizer,
    tokenize,
)
from difftest.shapes.world import SCENES, VOCABULARY, caption


def test_shipped_tokenizer_is_the_vocabularys() -> None:
    shipped = json.loads(TOKENIZER_FILE.read_text(encoding="utf-8"))
    assert shipped == json.loads(build_tokenizer().to_str())


def test_every_caption_fits_and_is_known() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids = tokenize([caption(scene) for scene in SCENES])
    assert ids.shape == (720, MAX_TOKENS)
    assert (ids == VOCABULARY.index("<unk>")).sum() == 0


def test_eos_is_the_highest_id_where_clip_looks_for_it() -> None:
    assert len(VOCABULARY) - 1 == EOS_ID
    ids = tokenize([caption(SCENES[0])])[0]
    assert ids[ids.argmax()] == EOS_ID


def test_capitals_and_spaces_do_not_matter() -> None:
    one, other = tokenize(["A Small RED circle ,top  left", "a small red circle, top left"])
    assert (one == other).all()


def test_an_unknown_word_is_named_with_its_nearest() -> None:
    with pytest.warns(PromptWarning, match="no word 'purpel'.*did you mean 'purple'"):
        tokenize(["a small purpel circle"])


def test_a_word_unlike_any_lists_what_is_known() -> None:
    with pytest.warns(PromptWarning, match="no word 'astronaut'.*it knows: a , on background"):
        tokenize(["a small astronaut"])


def test_what_is_cut_is_said() -> None:
    with pytest.warns(PromptWarning, match="reads 14 words; it did not read 'background'"):
        tokenize(["a small red red red circle, top left, on a a white background"])
