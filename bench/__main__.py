"""The process of a command: ``bench``, which ``python -m bench`` is too."""

from bench.toolkit.collection import without_collection


def main() -> None:
    """Run the command line; its imports make many objects and little garbage, which no collection need go through."""
    with without_collection():
        from bench.cli.app import main as command

    command()


if __name__ == "__main__":
    main()
