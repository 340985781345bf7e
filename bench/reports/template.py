"""HTML templates of reports: one environment, in which all that is shown is escaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.reports.company import sign
from bench.reports.tables import number, score
from bench.toolkit.visible import visible


@cache
def environment() -> Environment:
    """The environment of the templates of reports, which are compiled once.

    Returns:
        The environment with all that templates call.
    """
    made = Environment(
        loader=PackageLoader("bench.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"number": number, "score": score, "visible": visible}
    made.globals["sign"] = sign
    return made
