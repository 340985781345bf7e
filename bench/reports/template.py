"""HTML templates of reports: one environment, in which all that is shown is escaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment() -> Environment:
    """The environment of the templates of reports, which are compiled once.

    Returns:
        The environment, to which pages add filters; one name is the same filter on all pages.
    """
    return Environment(
        loader=PackageLoader("bench.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
