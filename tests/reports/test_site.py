"""The static site: pages without a script whose links lead somewhere, and a feed of what was recorded."""

import posixpath
from xml.etree import ElementTree

import pytest

from bench.reports.rows import rows
from bench.reports.site import site
from bench.results.store import Store
from tests.helpers.pages import HOSTILE, Elements, board, hostile
from tests.helpers.records import made


@pytest.fixture(scope="module")
def files():
    """The site of a board with records that have markup in their names, and a time of each of them."""
    records = [*board(), hostile(), made({"method": "later"}, finished="2026-03-01T10:00:00+00:00"),
               made({"method": "undated"}, finished="yesterday")]  # fmt: skip
    return site(rows(records), records, "<title>board</title>", "https://example.org/board/")


def test_it_has_a_page_for_each_task_and_method(files):
    assert {"index.html", "board.html", "changes.xml", ".nojekyll"} < set(files)
    assert {"tasks/t-on-b-1720be6d.html", "methods/good.html", "methods/later.html"} < set(files)
    tasks = [name for name in files if name.startswith("tasks/")]
    assert len(tasks) == 3
    good = " ".join(Elements(files["methods/good.html"]).text.split())
    for score in ("90.0", "64.0", "95.0", "85.0", "88.0"):
        assert score in good
    assert "81.0" not in good  # another method's
    assert "RuntimeError: planted defect" in Elements(files["methods/broken.html"]).text
    index = " ".join(Elements(files["index.html"]).text.split())
    assert "1 shot: cheap 65.0" in index
    assert "full shots: good 95.0" in index


def test_every_link_leads_to_a_page_or_a_line_of_the_site(files):
    pages = {name: Elements(text) for name, text in files.items() if name.endswith(".html")}
    ids = {name: {found["id"] for _, found in page.found if "id" in found} for name, page in pages.items()}
    links = [(name, found["href"]) for name, page in pages.items() for _, found in page.found if "href" in found]
    assert len(links) > 50
    for name, link in links:
        address, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), address))
        assert target in files, link
        assert not anchor or anchor in ids[target], link


def test_it_has_no_script_and_no_name_becomes_markup(files):
    for name, text in files.items():
        assert HOSTILE not in text, name
        assert "<script" not in text
        assert "<img" not in text
    assert HOSTILE in Elements(files["index.html"]).text


def test_the_feed_has_results_by_the_time_of_their_last_run(files):
    channel = ElementTree.fromstring(files["changes.xml"]).find("channel")
    items = channel.findall("item")
    assert channel.findtext("link") == "https://example.org/board/"
    assert items[0].findtext("title").startswith("t: later [alpha=0.1], 5 shots: 50.0 [")
    assert items[0].findtext("pubDate") == "Sun, 01 Mar 2026 10:00:00 +0000"
    assert items[0].findtext("link").startswith("https://example.org/board/tasks/")
    assert len({item.findtext("guid") for item in items}) == len(items) == 19
    assert not [item for item in items if "undated" in item.findtext("title")]
    broken = next(item for item in items if "broken" in item.findtext("title"))
    assert broken.findtext("title").endswith(": failed")
    assert "planted defect" in broken.findtext("description")


def test_results_that_differ_in_queries_alone_have_names_of_their_own_on_every_page_and_in_the_feed():
    given = [made({"method": "m", "config": {}, "queries": queries}) for queries in (10, 20)]
    files = site(rows(given), given, "")
    (task,) = (text for name, text in files.items() if name.startswith("tasks/"))
    for text in (task, files["methods/m.html"]):
        assert all(f">t, {queries} queries</a>" in text for queries in (10, 20))
    index = " ".join(Elements(files["index.html"]).text.split())
    assert "5 shots, 10 queries: m" in index
    assert "5 shots, 20 queries: m" in index
    titles = [item.findtext("title") for item in ElementTree.fromstring(files["changes.xml"]).iter("item")]
    assert len(set(titles)) == 2


@pytest.mark.parametrize("change", [{"backbone": "c"}, {"ways": 3}, {"precision": "bf16-true"}])
def test_the_feed_names_what_tells_results_apart(change):
    given = [made(), made(change)]
    items = ElementTree.fromstring(site(rows(given), given, "")["changes.xml"]).iter("item")
    assert len({item.findtext("title").partition(":")[2] for item in items}) == 2


def test_a_page_of_results_over_time_in_its_folder_is_linked(tmp_path, in_process):
    Store(tmp_path / "store").write(made())
    words = ("leaderboard", "--store", tmp_path / "store", "--site", tmp_path / "site")

    def linked():
        assert in_process(*words)[0] == 0
        pages = (tmp_path / "site/index.html", *(tmp_path / "site").glob("*/*.html"))
        return [[found["href"] for _, found in Elements(page.read_text(encoding="utf-8")).found
                 if found.get("href", "").endswith("history.html")] for page in pages]  # fmt: skip

    assert linked() == [[], [], []]
    (tmp_path / "site/history.html").write_text("over time", encoding="utf-8")
    assert linked() == [["history.html"], ["../history.html"], ["../history.html"]]


def test_the_command_writes_the_site(in_process, tmp_path):
    for record in board():
        Store(tmp_path / "store").write(record)
    words = ("leaderboard", "--store", tmp_path / "store", "--site", tmp_path / "site")
    code, out, err = in_process(*words, "--site-address", "https://example.org")
    assert (code, err) == (0, "")
    assert out.endswith(f"{tmp_path / 'site' / 'index.html'} is the index\n")
    assert "https://example.org/tasks/" in (tmp_path / "site/changes.xml").read_text(encoding="utf-8")
    assert (tmp_path / "site/board.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert in_process(*words, "--format", "csv")[0] == 2
    assert in_process("leaderboard", "--store", tmp_path / "store", "--site-address", "x")[0] == 2
