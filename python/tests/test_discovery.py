"""From a folder of files to tests with ids, places and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import difftest
from difftest import _bridge

if TYPE_CHECKING:
    from conftest import Repository

TEST = """
    import difftest

    @difftest.test(["a red circle"], ["clip_score"])
    def {name}():
        pass
"""


def test_a_test_is_known_by_its_file_and_name_and_stands_at_its_decorator(
    repository: Repository,
) -> None:
    repository.write(
        "tests/style/test_red.py",
        """
        import difftest

        def helper(): ...

        @difftest.test(
            prompts=["a {size} red circle"],
            metrics=["clip_score"],
            threshold=0.25,
            seeds=[1, 2],
            variables={"size": ["small", "large"]},
            negative_prompt="blur",
            reference_dir="references",
        )
        def test_red(): ...

        @difftest.visual_regression(["a blue square"], [7], combine="zip")
        def looks_the_same(): ...
        """,
    )
    tests, errors = repository.collect()
    assert errors == []
    assert tests == [
        {
            "id": "tests/style/test_red.py::test_red",
            "place": {"file": "tests/style/test_red.py", "line": 5},
            "kind": "quality",
            "metrics": ["clip_score"],
            "thresholds": {"clip_score": 0.25},
            "reference_dir": "references",
            "prompts": ["a {size} red circle"],
            "variables": {"size": ["small", "large"]},
            "combine": "product",
            "negative_prompt": "blur",
            "seeds": [1, 2],
            "suite": None,
        },
        {
            "id": "tests/style/test_red.py::looks_the_same",
            "place": {"file": "tests/style/test_red.py", "line": 16},
            "kind": "visual_regression",
            "baseline_dir": "baselines/",
            "ssim_threshold": 0.85,
            "prompts": ["a blue square"],
            "variables": {},
            "combine": "zip",
            "negative_prompt": None,
            "seeds": [7],
            "suite": None,
        },
    ]


def test_files_are_found_at_every_depth_in_one_order(repository: Repository) -> None:
    for path in (
        "tests/b/test_z.py",
        "tests/test_m.py",
        "tests/a/deep/test_a.py",
        "tests/a/test_b.py",
    ):
        repository.write(path, TEST.format(name="test_it"))
    for ignored in (
        "tests/helper.py",
        "tests/.hidden/test_x.py",
        "tests/__pycache__/test_x.py",
        "tests/venv/test_x.py",
        "other/test_x.py",
    ):
        repository.write(ignored, "raise RuntimeError('must not be imported')")
    repository.write("tests/venv/pyvenv.cfg", "")
    tests, errors = repository.collect()
    assert errors == []
    assert [test["id"] for test in tests] == [
        "tests/test_m.py::test_it",
        "tests/a/test_b.py::test_it",
        "tests/a/deep/test_a.py::test_it",
        "tests/b/test_z.py::test_it",
    ]


def test_a_single_file_may_be_named(repository: Repository) -> None:
    repository.write("tests/test_a.py", TEST.format(name="test_a"))
    repository.write("tests/test_b.py", TEST.format(name="test_b"))
    tests, _ = repository.collect("tests/test_b.py")
    assert [test["id"] for test in tests] == ["tests/test_b.py::test_b"]


def test_the_tests_may_lie_outside_of_the_repository(repository: Repository) -> None:
    repository.write("elsewhere/wording.py", "PROMPT = 'p'")
    file = repository.write(
        "elsewhere/test_a.py",
        "import difftest, wording\n@difftest.test([wording.PROMPT], ['clip_score'])\ndef test_a(): ...\n",
    )
    repository.root /= "repository"
    repository.root.mkdir()
    tests, errors = repository.collect(str(file.parent))
    assert errors == []
    assert [test["id"] for test in tests] == ["../elsewhere/test_a.py::test_a"]


def test_an_empty_folder_has_no_tests_and_a_missing_one_is_an_error(repository: Repository) -> None:
    (repository.root / "tests").mkdir()
    assert repository.collect() == ([], [])
    with pytest.raises(difftest.ConfigurationError, match=r"test_dir is .*/nowhere"):
        repository.collect("nowhere")


def test_a_folder_that_cannot_be_read_is_named(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.root / "tests").mkdir()

    def denied(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("difftest.discovery.os.scandir", denied)
    with pytest.raises(difftest.ConfigurationError, match=r"cannot be read: .*/tests: Permission"):
        repository.collect()


def test_a_syntax_error_names_file_and_line_and_the_other_files_stay(
    repository: Repository,
) -> None:
    repository.write("tests/test_a.py", TEST.format(name="test_a"))
    repository.write(
        "tests/test_broken.py",
        """
        import difftest

        @difftest.test(["a"], ["clip_score"]
        def test_broken(): ...
        """,
    )
    tests, errors = repository.collect()
    assert [test["id"] for test in tests] == ["tests/test_a.py::test_a"]
    assert errors == [
        {
            "place": {"file": "tests/test_broken.py", "line": 3},
            "message": "syntax error: '(' was never closed, in "
            '`@difftest.test(["a"], ["clip_score"]`',
        }
    ]


def test_a_file_that_is_no_text_is_an_error_of_that_file(repository: Repository) -> None:
    (repository.root / "tests").mkdir()
    (repository.root / "tests/test_binary.py").write_bytes(b"\xff\xfe\x00\x00")
    _, (error,) = repository.collect()
    assert error["place"]["file"] == "tests/test_binary.py"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import no_such_module", "the module `no_such_module` is not there; install it"),
        ("1 / 0", "the file cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "the file ends the process"),
        ("from difftest import nothing", "cannot import name 'nothing'"),
        (
            "difftest.test(['a'], ['m'], seeds=[1, 1])",
            "seeds is [1, 1]; 1 is there twice; leave one out",
        ),
    ],
)
def test_what_breaks_at_import_is_an_error_at_the_line_where_it_broke(
    repository: Repository, statement: str, message: str
) -> None:
    repository.write("tests/test_a.py", f"import difftest\n\n{statement}\n")
    tests, (error,) = repository.collect()
    assert tests == []
    assert error["place"] == {"file": "tests/test_a.py", "line": 3}
    assert message in error["message"]


def test_an_error_in_a_module_that_the_test_imports_stands_in_that_module(
    repository: Repository,
) -> None:
    repository.write("tests/prompts.py", "SIZE = 32\nRED = undefined\n")
    repository.write("tests/test_a.py", "import prompts\n")
    repository.write("broken.py", "a = (\n")
    repository.write("tests/test_b.py", "import broken\n")
    _, errors = repository.collect()
    assert [error["place"] for error in errors] == [
        {"file": "tests/prompts.py", "line": 2},
        {"file": "broken.py", "line": 1},
    ]


def test_an_error_in_an_installed_package_stands_at_the_line_that_led_there(
    repository: Repository,
) -> None:
    repository.write(".venv/lib/python3/site-packages/installed.py", "raise OSError('no driver')")
    repository.write(
        "tests/test_a.py",
        """
        import sys
        sys.path.append(__file__.rpartition("/tests")[0] + "/.venv/lib/python3/site-packages")
        import installed
        """,
    )
    _, (error,) = repository.collect()
    assert error["place"] == {"file": "tests/test_a.py", "line": 3}
    assert "OSError: no driver" in error["message"]


def test_files_of_one_name_in_two_folders_never_collide(repository: Repository) -> None:
    for folder in ("portraits", "landscapes"):
        repository.write(f"tests/{folder}/wording.py", f"PROMPT = 'one of {folder}'")
        repository.write(
            f"tests/{folder}/test_it.py",
            """
            import difftest
            from wording import PROMPT

            @difftest.test([PROMPT], ["clip_score"])
            def test_it(model):
                import wording  # when it is called, long after
                assert wording.PROMPT == PROMPT
            """,
        )
    tests, errors = repository.collect()
    assert errors == []
    assert [(test["id"], test["prompts"]) for test in tests] == [
        ("tests/landscapes/test_it.py::test_it", ["one of landscapes"]),
        ("tests/portraits/test_it.py::test_it", ["one of portraits"]),
    ]
    for test in tests:
        _bridge.run_body(test["id"], None)  # type: ignore[arg-type]


def test_tests_import_what_is_beside_them_and_what_is_at_the_root(repository: Repository) -> None:
    repository.write("product/prompts.py", "A = 'from the root'")
    repository.write("tests/beside.py", "B = 'from beside'")
    repository.write("tests/group/inner.py", "C = 'from the folder of tests'")
    repository.write(
        "tests/test_a.py",
        """
        import difftest
        from beside import B
        from product.prompts import A
        from tests.group.inner import C

        @difftest.test([A, B, C], ["clip_score"])
        def test_it(): ...
        """,
    )
    test = repository.collect_one()
    assert test["prompts"] == ["from the root", "from beside", "from the folder of tests"]


def test_tests_in_a_package_import_relatively(repository: Repository) -> None:
    repository.write("tests/__init__.py", "")
    repository.write("tests/group/__init__.py", "")
    repository.write("tests/group/wording.py", "PROMPT = 'relative'")
    repository.write("tests/common.py", "METRICS = ['clip_score']")
    repository.write(
        "tests/group/test_a.py",
        """
        import difftest
        from ..common import METRICS
        from .wording import PROMPT

        @difftest.test([PROMPT], METRICS)
        def test_it(): ...
        """,
    )
    test = repository.collect_one()
    assert (test["id"], test["prompts"]) == ("tests/group/test_a.py::test_it", ["relative"])


def test_dataclasses_and_pickles_find_their_module(repository: Repository) -> None:
    repository.write(
        "tests/test_a.py",
        """
        from __future__ import annotations
        import dataclasses, pickle
        import difftest

        @dataclasses.dataclass
        class Case:
            prompt: str

        assert pickle.loads(pickle.dumps(Case("p"))) == Case("p")

        @difftest.test([Case("p").prompt], ["clip_score"])
        def test_it(): ...
        """,
    )
    assert repository.collect_one()["prompts"] == ["p"]


def test_only_decorated_functions_are_tests_each_once(repository: Repository) -> None:
    repository.write("tests/test_a.py", TEST.format(name="test_shared"))
    repository.write(
        "tests/test_b.py",
        """
        import difftest
        from test_a import test_shared

        def test_plain(): ...

        @difftest.test(["a"], ["clip_score"])
        def test_own(): ...

        alias = test_own
        """,
    )
    tests, errors = repository.collect()
    assert errors == []
    assert [test["id"] for test in tests] == [
        "tests/test_a.py::test_shared",
        "tests/test_b.py::test_own",
    ]


def test_tests_made_by_a_function_have_the_names_they_are_given(repository: Repository) -> None:
    repository.write(
        "tests/making.py",
        """
        import difftest

        def test_of(color):
            @difftest.test([f"a {color} circle"], ["clip_score"])
            def made(): ...
            return made
        """,
    )
    repository.write(
        "tests/test_a.py",
        """
        from making import test_of

        test_red = test_of("red")
        test_blue = test_of("blue")
        """,
    )
    tests, errors = repository.collect()
    assert errors == []
    assert [(test["id"], test["prompts"]) for test in tests] == [
        ("tests/test_a.py::test_red", ["a red circle"]),
        ("tests/test_a.py::test_blue", ["a blue circle"]),
    ]
    assert tests[0]["place"] == {"file": "tests/making.py", "line": 4}


def test_a_test_that_would_never_run_is_an_error(repository: Repository) -> None:
    repository.write(
        "tests/test_a.py",
        """
        import difftest

        @difftest.test(["a"], ["clip_score"])
        def test_it(): ...

        @difftest.test(["b"], ["clip_score"])
        def test_it(): ...

        def inside():
            @difftest.test(["c"], ["clip_score"])
            def test_hidden(): ...
        inside()
        """,
    )
    tests, errors = repository.collect()
    assert [test["prompts"] for test in tests] == [["b"]]
    assert [(error["place"]["line"], error["message"].split(";")[0]) for error in errors] == [
        (3, "`test_it` is defined again at line 6, so this test would never run"),
        (10, "`test_hidden` is not a name of the module, so this test would never run"),
    ]


def test_an_unknown_metric_is_an_error_at_the_test_that_names_it(repository: Repository) -> None:
    repository.write(
        "tests/test_a.py",
        """
        import difftest

        @difftest.test(["a"], ["clip_scroe"])
        def test_wrong(): ...

        @difftest.test(["a"], ["clip_score", "ssim", "redness"])
        def test_right(): ...

        @difftest.metric("redness")
        def redness(image): return 1.0
        """,
    )
    tests, errors = repository.collect()
    assert [test["id"] for test in tests] == ["tests/test_a.py::test_right"]
    assert errors == [
        {
            "place": {"file": "tests/test_a.py", "line": 3},
            "message": "`test_wrong` names the metric `clip_scroe`, which does not exist; "
            "did you mean `clip_score`?",
        }
    ]


@pytest.mark.parametrize(
    "home",
    [
        "tests/conftest.py",
        "tests/metrics.py",
        "tests/deep/metrics.py",
        "tests/deep/test_metrics.py",
        "conftest.py",
        "metrics.py",
    ],
)
def test_a_metric_is_known_wherever_it_is_declared(repository: Repository, home: str) -> None:
    repository.write(
        home,
        """
        import difftest

        @difftest.metric("brightness", range=(0, 255))
        def brightness(array): return float(array.mean())
        """,
    )
    imported = "import metrics\n" if home == "metrics.py" else ""
    repository.write(
        "tests/test_a.py",
        f"{imported}import difftest\n@difftest.test(['a'], ['brightness'])\ndef test_a(): ...\n",
    )
    assert repository.collect_one()["metrics"] == ["brightness"]
    assert _bridge.load_metric("brightness").range == (0.0, 255.0)


def test_the_metrics_above_a_folder_of_tests_are_known_in_it(repository: Repository) -> None:
    """As pytest has it: a part of the tests meets the same conftest.py files as all of them."""
    declares = "import difftest\n@difftest.metric('{}')\ndef m(image): return 0.0\n"
    repository.write("conftest.py", declares.format("at_the_root"))
    repository.write("tests/conftest.py", declares.format("of_the_tests"))
    repository.write("tests/metrics.py", declares.format("beside"))
    repository.write("tests/other/conftest.py", "raise RuntimeError('must not be imported')")
    repository.write(
        "tests/deep/test_a.py",
        "import difftest\n@difftest.test(['a'], ['at_the_root', 'of_the_tests'])\ndef test_a(): ...\n",
    )
    for part in ("tests/deep", "tests/deep/test_a.py"):
        tests, errors = repository.collect(part)
        assert (len(tests), errors) == (1, [])
    repository.write("tests/test_b.py", "")
    repository.collect("tests/test_b.py")
    assert set(difftest.get_registry().metrics) == {"at_the_root", "of_the_tests", "beside"}


def test_a_module_of_metrics_runs_once_and_only_if_it_is_difftests(repository: Repository) -> None:
    repository.write(
        "tests/metrics.py",
        """
        import difftest
        RUNS = []

        @difftest.metric("m")
        def m(image): return 0.0
        """,
    )
    repository.write("tests/test_a.py", "import metrics\nmetrics.RUNS.append(1)\n")
    repository.write("tests/test_b.py", "import metrics\nassert metrics.RUNS == [1]\n")
    repository.write("tests/prometheus/metrics.py", "raise RuntimeError('must not be imported')")
    repository.write("tests/broken/metrics.py", "import difftest\n1 / 0\n")
    _, (error,) = repository.collect()
    assert error["place"] == {"file": "tests/broken/metrics.py", "line": 2}


def test_another_module_of_that_name_does_not_hide_the_metrics(repository: Repository) -> None:
    declares = "import difftest\n@difftest.metric('{}')\ndef m(image): return 0.0\n"
    repository.write("metrics.py", declares.format("of_the_product"))
    repository.write("conftest.py", "import metrics\n")
    repository.write("tests/metrics.py", declares.format("of_the_tests"))
    assert repository.collect() == ([], [])
    assert set(difftest.get_registry().metrics) == {"of_the_product", "of_the_tests"}


def test_one_metric_declared_by_two_files_is_an_error_that_names_both(
    repository: Repository,
) -> None:
    metric = "import difftest\n@difftest.metric('m')\ndef m(image): return 0.0\n"
    repository.write("tests/test_a.py", metric)
    repository.write("tests/test_b.py", "# another\n" + metric)
    _, (error,) = repository.collect()
    assert error["place"]["file"] == "tests/test_b.py"
    assert "declared twice: at tests/test_a.py:2 and at tests/test_b.py:3" in error["message"]


def test_what_a_test_file_prints_does_not_reach_standard_output(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.write("tests/test_a.py", "print('noise')")
    repository.collect()
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "noise\n")


def test_collecting_again_sees_what_has_changed(repository: Repository) -> None:
    repository.write("tests/wording.py", "PROMPT = 'one'")
    repository.write(
        "tests/test_a.py",
        """
        import difftest, wording

        @difftest.test([wording.PROMPT], ["clip_score"])
        def test_a(): ...
        """,
    )
    assert repository.collect_one()["prompts"] == ["one"]
    repository.write("tests/wording.py", "PROMPT = 'another'")
    assert repository.collect_one()["prompts"] == ["another"]
