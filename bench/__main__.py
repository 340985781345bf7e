"""The process of a command: ``bench``, which ``python -m bench`` is too."""

import gc


def main() -> None:
    """Run the command line; its imports make many objects and little garbage, which no collection need go through."""
    gc.disable()
    from bench.cli.app import main as command

    gc.freeze()
    gc.enable()
    command()


if __name__ == "__main__":
    main()
