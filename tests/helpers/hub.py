"""A small hub on loopback that answers the client of the hub: models and data sets, with large files elsewhere."""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml
from huggingface_hub import constants

LARGE = (".safetensors", ".parquet")
"""Ends of the names of files that are in large file storage."""
TOKEN = "hf_of_the_test"
SHUTDOWN_SECONDS = 0.02
"""Seconds after which a server has seen that it is to end; by default each test would wait for half a second."""


@dataclass
class Repository:
    """A repository.

    Attributes:
        commits: Files by commit.
        main: The commit that ``main`` names.
        closed: HTTP status without the token, 401 or 403; None for a public repository.
        moved_to: Present name, if it was renamed.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    main: str = ""
    closed: int | None = None
    moved_to: str | None = None

    def commit(self, files):
        """Add a commit to ``main``; returns its hash."""
        self.main = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[self.main] = dict(files)
        return self.main


@dataclass
class Hub:
    """The hub.

    Attributes:
        url: Address.
        storage: Address of the storage of large files, which is another host as on the hub.
        repositories: By kind (``models``, ``datasets``) and name.
        requests: Method and path of each request, and the range that it named.
        break_off: Number of bytes after which a transfer of a large file is broken off.
        breaks: Number of transfers that are.
        down: Whether each answer is status 503.
    """

    url: str = ""
    storage: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    break_off: int = 0
    breaks: int = 0
    down: bool = False

    def model(self, name, files):
        return self._add("models", name, files)

    def dataset(self, name, files):
        return self._add("datasets", name, files)

    def _add(self, kind, name, files):
        made = self.repositories[kind, name] = Repository()
        made.commit(files)
        return made

    def transfers(self):
        """Paths of the files whose content was sent, and the ranges."""
        return [(path, part) for method, path, part in self.requests if method == "GET" and "/api/" not in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(send=False)

    def do_GET(self):
        self._answer(send=True)

    def _answer(self, send):
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if self.hub.down:
            self._send(503, b"", {}, send)
        elif stored := re.fullmatch(r"/storage/([0-9a-f]{64})", path):
            self._stored(stored[1], send)
        elif wanted := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            self._facts(*wanted.groups(), send)
        elif wanted := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind, *rest = wanted.groups()
            self._file("datasets" if kind else "models", *rest, send)
        else:
            self._send(404, b"", {}, send)

    def _found(self, kind, name, revision, send):
        """Repository and commit; None after an answer that says why there is none."""
        there = self.hub.repositories.get((kind, name))
        if there is not None and there.moved_to is not None:
            location = self.path.replace(name, there.moved_to, 1)
            self._send(307, b"", {"Location": location}, send)
            return None
        if there is None or (there.closed and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            status = there.closed if there else 401
            code = "GatedRepo" if status == 403 else "RepoNotFound"
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "Access is restricted."}, send)
            return None
        commit = there.main if revision in {None, "main"} else revision
        if commit not in there.commits:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, send)
            return None
        return there, commit

    def _facts(self, kind, name, what, revision, send):
        if (found := self._found(kind, name, revision, send)) is None:
            return
        there, commit = found
        files = there.commits[commit]
        if what == "tree":
            content = [_entry(path, content) for path, content in files.items()]
        else:
            siblings = [{"rfilename": path, "size": len(content)} for path, content in files.items()]
            content = {"id": name, "sha": commit, "siblings": siblings, "cardData": _card(files)}
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"}, send)

    def _file(self, kind, name, revision, path, send):
        if (found := self._found(kind, name, revision, send)) is None:
            return
        there, commit = found
        if path not in there.commits[commit]:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, send)
            return
        content = there.commits[commit][path]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_blob(content)}"'}
        if path.endswith(LARGE):
            digest = hashlib.sha256(content).hexdigest()
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            self._send(302, b"", {**headers, **linked, "Location": f"{self.hub.storage}/storage/{digest}"}, send)
        else:
            self._send(200, content, headers, send)

    def _stored(self, digest, send):
        contents = [
            content
            for there in self.hub.repositories.values()
            for files in there.commits.values()
            for content in files.values()
        ]
        content = next(each for each in contents if hashlib.sha256(each).hexdigest() == digest)
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        headers = {"ETag": f'"{digest}"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if start else 200, content[start:], headers, send, breakable=True)

    def _send(self, status, content, headers, send, breakable=False):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if not send:
            return
        if breakable and self.hub.breaks:
            self.hub.breaks -= 1
            content = content[: self.hub.break_off]
            self.close_connection = True
        self.wfile.write(content)


def _card(files):
    """What a repository's card states at its head."""
    _, head, *_ = [*files.get("README.md", b"").decode().split("---\n"), "", ""]
    return yaml.safe_load(head)


def _blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path, content):
    entry = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


@contextmanager
def running_hub(monkeypatch, cache):
    """A hub that the client uses in this process, with a cache of its own."""
    hub = Hub()
    handler = type("OwnHandler", (Handler,), {"hub": hub})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    hub.url, hub.storage = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no token"))
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(SHUTDOWN_SECONDS,), daemon=True).start()
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
