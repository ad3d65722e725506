"""The native module: the engine, the App, the runner and the language server, in Rust."""

def cli_main(argv: list[str]) -> int:
    """Run the command line; ``argv[0]`` is the program's name. Answers the exit code."""
