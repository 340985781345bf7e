"""A server of PostgreSQL in a temporary folder, from Debian's package ``postgresql``."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "s3cret-of-the-test"
USER = "postgres"
"""User of the package, as whom the server runs where the tests run as root, which it refuses."""


def programs():
    """Folder of ``initdb`` and ``pg_ctl``; None where PostgreSQL is not installed."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


@contextmanager
def server():
    """Starts a server on a socket of its own, and yields the URL of a database, with a password in it."""
    folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    as_user = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(folder, USER, USER)

    def call(program, *arguments):
        command = [str(programs() / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=60, **as_user)
        assert done.returncode == 0, f"{program}: {done.stdout} {done.stderr}"

    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    data = folder / "data"
    try:
        call("initdb", "-D", data, "-U", "bench", "-A", "scram-sha-256", "--pwfile", password, "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        call("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql://bench:{PASSWORD}@/postgres?host={folder}"
        finally:
            call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
