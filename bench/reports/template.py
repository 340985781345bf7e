"""HTML templates of reports: one environment, in which all that is shown is escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """An environment of the templates of reports.

    Returns:
        The environment, to which a page adds its own filters.
    """
    return Environment(
        loader=PackageLoader("bench.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
