"""Prompt suites of a repository: JSON, YAML and text, and what is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import difftest
from difftest import imports, suites
from difftest.suites.files import read

if TYPE_CHECKING:
    from conftest import Repository


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(imports, "_root", tmp_path)
    return tmp_path


def written(root: Path, name: str, content: str | bytes) -> suites.PromptSuite:
    data = content.encode() if isinstance(content, str) else content
    (root / name).write_bytes(data)
    return read(name)


def refused(root: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(difftest.ConfigurationError) as error:
        written(root, name, content)
    return str(error.value)


PROMPTS = ("a red circle", "un carré jaune")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "# colours\na red circle\n\n   un carré jaune  \n"),
        ("p.txt", "\ufeff# with a mark\r\na red circle\r\n\r\nun carré jaune"),
        ("p.json", '["a red circle", "un carré jaune"]'),
        ("p.json", '\ufeff\r\n[\r\n"a red circle",\r\n{"prompt": "un carr\\u00e9 jaune"}]\r\n'),
        ("p.json", '{"description": "d", "prompts": ["a red circle", "un carré jaune"]}'),
        ("p.yaml", "- a red circle\n- prompt: un carré jaune\n"),
        ("p.yml", "\ufeffdescription: d\r\nprompts:\r\n  - a red circle\r\n  - un carré jaune\r\n"),
        ("p.yaml", "prompts: [&first a red circle, {prompt: un carré jaune, notes: *first}]\n"),
    ],
)
def test_every_format_says_the_same(root: Path, name: str, content: str) -> None:
    assert written(root, name, content).texts == PROMPTS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "faces.json",
            """{"model": "m", "description": "d", "prompts": [
            {"id": "x/a", "prompt": "a", "tags": ["t"], "notes": "n"}, "b"]}""",
        ),
        (
            "faces.yaml",
            """{model: m, description: d, prompts: [
            {id: x/a, prompt: a, tags: [t], notes: n}, b]}""",
        ),
    ],
)
def test_an_object_has_what_the_suites_of_difftest_have(
    root: Path, name: str, content: str
) -> None:
    suite = written(root, name, content)
    assert (suite.name, suite.model, suite.description) == ("faces", "m", "d")
    first, second = suite.prompts
    assert (first.id, first.tags, first.notes) == ("x/a", ("t",), "n")
    assert (second.id, second.text, second.tags) == ("faces/2", "b", ())
    assert suite.tagged("t") == (first,)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "a\nb\n\na\n", "p.txt:4: the prompt 'a' is in line 1 already; leave one out"),
        ("p.txt", "# nothing\n\n", "p.txt: there are no prompts in it; write at least one"),
        ("p.txt", b"a\r\ncaf\xe9\r\n", "p.txt:2: the byte 0xe9 is no UTF-8; save the file as"),
        ("p.txt", "a\n".encode("utf-16"), "p.txt: the file is UTF-16; save it as UTF-8"),
        ("p.txt", "a\nb\0c\n", "p.txt:2: there is a NUL character"),
        ("p.json", "", "p.json: there are no prompts in it"),
        ("p.json", "[]", "p.json: there are no prompts in it"),
        ("p.json", '[\n"a",\n"b"\n"c"]', "p.json:4: this is not JSON: Expecting ',' delimiter"),
        ("p.json", '["a",\n]', "p.json:2: this is not JSON: Illegal trailing comma"),
        ("p.json", '["a"] x', "p.json:1: this is not JSON: Extra data"),
        ("p.json", '["a",\n\n 3]', "p.json:3: a prompt is 3, a number; write a text (in quotes)"),
        ("p.json", '["a",\nnull]', "p.json:2: a prompt is empty; write a text"),
        ("p.json", '"a"', "p.json:1: write a list of prompts, or an object with a list"),
        ("p.json", '{"prompt": ["a"]}', "p.json:1: the key `prompts` is missing"),
        ("p.json", '{"prompts": "a"}', "p.json:1: `prompts` is no list"),
        (
            "p.json",
            '{"prompts": ["a"],\n"descripton": "d"}',
            "p.json:2: unknown key `descripton`; did you mean `description`?",
        ),
        ("p.json", '{"prompts": ["a"], "prompts": ["b"]}', "the key `prompts` is there twice"),
        ("p.json", '[{"prompt": "a", "prompt": "b"}]', "the key `prompt` is there twice"),
        ("p.json", '[{"promt": "a"}]', "p.json:1: unknown key `promt`; did you mean `prompt`?"),
        ("p.json", '[{"id": "a"}]', "p.json:1: the key `prompt` is missing; it holds the text"),
        ("p.json", '[{"prompt": "a", "tags": "t"}]', "`tags` is a text; write a list"),
        ("p.json", '[{"prompt": "a", "tags": [1]}]', "a tag is 1, a number; write a text"),
        ("p.json", '["\\ud800"]', "the prompt has half a character that is no text"),
        ("p.json", '["a",\n "  "]', "p.json:2: the prompt is empty; write a text, or leave it"),
        (
            "p.json",
            '["a",\n{"prompt": "b", "negative_prompt": "c"}]',
            "p.json:2: a prompt has no `negative_prompt` of its own: it belongs to the whole test, as",
        ),
        ("p.json", "[" * 100_000, "p.json: it is nested too deeply"),
        ("p.json", f"[{'9' * 5000}]", "p.json:1: this cannot be used"),
        ("p.yaml", "", "p.yaml: there are no prompts in it"),
        ("p.yaml", "- a\n- b: [\n", "p.yaml:3: this is not YAML"),
        ("p.yaml", "- a\n- 1984\n", "p.yaml:2: a prompt is 1984, a number; write a text (in"),
        ("p.yaml", "- a\n- yes\n", "p.yaml:2: a prompt is True, a truth value; write a text"),
        ("p.yaml", "- a\n-\n", "p.yaml:2: a prompt is empty; write a text"),
        ("p.yaml", "- a\n- 2024-01-31\n", "p.yaml:2: a prompt is a date; write a text"),
        ("p.yaml", "- a\n- 2024-13-31\n", "p.yaml:2: this cannot be used: month must be in"),
        ("p.yaml", "a\n", "p.yaml:1: write a list of prompts"),
        ("p.yaml", "- a\n---\n- b\n", "p.yaml:2: this is not YAML"),
        ("p.yaml", "- prompt: a\n  prompt: b\n", "p.yaml:2: the key `prompt` is there twice"),
        ("p.yaml", "- a\n\n- id: x\n", "p.yaml:3: the key `prompt` is missing"),
        ("p.yaml", "prompts: a\n", "p.yaml:1: `prompts` is no list"),
        ("p.yaml", "prompts: [a]\nmodel: [m]\n", "p.yaml:2: `model` is a list; write a text"),
        ("p.yaml", "- a\n- \x07b\n", "p.yaml:2: the character U+0007 cannot stand in YAML"),
        ("p.yaml", "- a\n- b\n- a\n", "p.yaml:3: the prompt 'a' is in line 1 already"),
        ("p.yaml", "- {id: x, prompt: a}\n- {id: x, prompt: b}\n", "the id 'x' is in line 1"),
        ("p.yaml", "[" * 5000, "p.yaml: it is nested too deeply"),
        ("p.yaml", "- &a [*a]\n", "p.yaml:1: this is not YAML: found unconstructable recursive"),
        (
            "p.yaml",
            "- !!python/object/apply:os.system [true]\n",
            "p.yaml:1: this is not YAML: could not determine a constructor",
        ),
    ],
)
def test_what_cannot_be_used_is_named_with_its_file_its_line_and_the_mend(
    root: Path, name: str, content: str | bytes, message: str
) -> None:
    assert message in refused(root, name, content)


def test_references_that_would_fill_the_memory_are_not_written_out(root: Path) -> None:
    """The "billion laughs": each line holds the one before it ten times."""
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    assert "unknown key `a0`" in refused(root, "p.yaml", "\n".join(lines) + "\nprompts: [*a39]\n")
    message = refused(root, "p.yml", "- " + "\n- ".join(line[4:].strip() for line in lines))
    assert "a prompt is a list" in message


def test_a_suite_of_a_hundred_thousand_prompts_is_read_line_by_line(root: Path) -> None:
    many = "[" + ",\n".join(f'"prompt {n}"' for n in range(100_000)) + ",\n3]"
    assert "p.json:100001: a prompt is 3" in refused(root, "p.json", many)


def test_a_file_that_is_too_large_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("difftest.suites.files._LARGEST", 3)
    assert "and a prompt suite at most" in refused(root, "p.txt", "abcd")


def test_a_file_that_changed_is_read_again(root: Path) -> None:
    assert written(root, "p.txt", "a").texts == ("a",)
    assert written(root, "p.txt", "another").texts == ("another",)


def test_without_pyyaml_it_says_how_to_install_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(difftest.MissingDependencyError, match=r"'difftest\[yaml\]'"):
        written(root, "p.yaml", "- a")


def test_a_file_that_is_not_there_names_where_it_was_looked_for(root: Path) -> None:
    (root / "colors.yaml").write_text("- a")
    with pytest.raises(difftest.ConfigurationError) as missing:
        difftest.get_suite("colours.yaml")
    assert "there is no prompt suite 'colours.yaml' in " in str(missing.value)
    assert "(there is `colors.yaml`); a path is relative to" in str(missing.value)
    with pytest.raises(difftest.ConfigurationError, match=r"ends in \.json, \.yaml, \.yml, \.txt"):
        difftest.get_suite("colors.csv")
    with pytest.raises(difftest.ConfigurationError, match="there is no prompt suite at '/nowhere/"):
        difftest.get_suite("/nowhere/p.txt")


@pytest.mark.parametrize("wrong", [3, None, ["p.txt"]])
def test_what_is_neither_a_name_nor_a_path_is_refused(wrong: Any) -> None:
    with pytest.raises(difftest.ConfigurationError, match="write the name of a prompt suite, or"):
        difftest.get_suite(wrong)


def test_a_test_finds_its_suite_beside_itself_and_then_at_the_root(
    repository: Repository,
) -> None:
    repository.write("tests/deep/near.txt", "beside")
    repository.write("near.txt", "not this one")
    repository.write("prompts/far.json", '["at the root"]')
    repository.write(
        "tests/deep/test_a.py",
        """
        import pathlib
        import difftest

        @difftest.test(metrics=["clip_score"], suite="near.txt")
        def test_near(): ...

        @difftest.test(["more"], ["clip_score"], suite=pathlib.Path("prompts/far.json"))
        def test_far(): ...

        @difftest.visual_regression(suite=pathlib.Path(__file__).with_name("near.txt"))
        def test_whole_path(): ...

        assert difftest.get_suite("near.txt").prompts[0].id == "near/1"
        """,
    )
    tests, errors = repository.collect()
    assert errors == []
    assert [test["prompts"] for test in tests] == [["beside"], ["at the root", "more"], ["beside"]]
    assert [test["suite"] for test in tests[:2]] == ["near.txt", "prompts/far.json"]


def test_a_suite_that_cannot_be_used_is_an_error_at_the_test_that_names_it(
    repository: Repository,
) -> None:
    repository.write("tests/p.txt", "a\na\n")
    repository.write(
        "tests/test_a.py",
        "import difftest\n\n@difftest.test(metrics=['m'], suite='p.txt')\ndef test_a(): ...\n",
    )
    _, (error,) = repository.collect()
    assert error["place"] == {"file": "tests/test_a.py", "line": 3}
    assert error["message"].startswith("tests/p.txt:2: the prompt 'a' is in line 1 already")
