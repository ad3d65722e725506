"""The native module: the engine, the App, the runner and the language server, in Rust."""

import numpy as np
import numpy.typing as npt

__version__: str

def cli_main(argv: list[str]) -> int:
    """Run the command line; ``argv[0]`` is the program's name. Answers the exit code."""

def ssim(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """The mean structural similarity of two ``uint8 (height, width, 3)`` images of one size."""

def expand(template: str, variables: dict[str, list[str]]) -> list[str]:
    """The prompts that a template stands for, its last variable changing fastest."""

def report_page(title: str, markdown: str) -> str:
    """A report's Markdown as an HTML page that is safe to serve."""
