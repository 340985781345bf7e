"""The process of a command: ``bench``, which ``python -m bench`` is too."""

import gc


def main() -> None:
    """Run the command line.

    Imports make many objects and little garbage, and what is left at the end goes with the process: collections would
    only go through all of it again and again.
    """
    gc.disable()
    from bench.cli.app import main as command

    gc.freeze()
    gc.enable()
    try:
        command()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
