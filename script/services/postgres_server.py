"""A real PostgreSQL server for tests and for trying weir, on loopback, in a folder of its own.

    script/services/postgres up [--folder DIR]     starts it, prints how to reach it
    script/services/postgres down [--folder DIR]

As a module: Postgres(folder).start(); it can be killed and started again, and followed by a standby
(Postgres(folder, standby_of=primary)). The superuser is postgres, on loopback without a password.
"""
import argparse
import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from service import ROOT, Unavailable, free_ports, install, say, start_time, wait_gone

USER = "postgres"
START_TIMEOUT_S = 60


def programs():
    """The folder of the server's programs, newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"),
                   key=lambda path: int(path.parts[-3]), reverse=True)
    if not found and shutil.which("initdb") is None:
        install("postgres", "postgresql")
        return programs()
    return found[0].parent if found else Path(shutil.which("initdb")).parent


def as_server_user(command):
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *command]


class Postgres:
    """One server. `settings`: more of postgresql.conf."""

    def __init__(self, folder, settings=None, standby_of=None):
        self.folder = Path(folder).resolve()
        self.data = self.folder / "data"
        self.settings = settings or {}
        self.standby_of = standby_of
        self.port = free_ports(1)[0]
        self.bin = programs()

    @property
    def dsn(self):
        return f"host=127.0.0.1 port={self.port} dbname=postgres user={USER}"

    def run(self, *command):
        done = subprocess.run(as_server_user([str(word) for word in command]), cwd="/",
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Unavailable(f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def make(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "socket").mkdir(parents=True)
        if os.geteuid() == 0:
            # Every folder above must let the server's user through.
            for folder in (self.folder, self.folder / "socket"):
                os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
        if self.standby_of is None:
            self.run(self.bin / "initdb", "-D", self.data, "-A", "trust", "-U", USER, "--no-sync",
                     "-E", "UTF8", "--locale=C.UTF-8")
            shutil.copy(self.data / "pg_hba.conf", self.folder / "pg_hba.conf.first")
        else:
            self.run(self.bin / "pg_basebackup", "-D", self.data, "-R", "-X", "stream",
                     "-d", self.standby_of.dsn + " application_name=standby")
        settings = {"max_prepared_transactions": 64, "lc_messages": "C", "fsync": "on",
                    "wal_level": "replica", "max_wal_senders": 4, "shared_buffers": "64MB",
                    **self.settings}
        with open(self.data / "postgresql.auto.conf", "a") as file:
            file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())

    def start(self):
        """Makes it first when the folder is not there."""
        if not self.data.exists():
            self.make()
        if self.is_alive():
            raise Unavailable(f"a server of {self.folder} runs already:"
                              " script/services/postgres down")
        log = self.folder / "server.log"
        self.run(self.bin / "pg_ctl", "-D", self.data, "-l", log, "-w", "-s", "-t",
                 START_TIMEOUT_S, "-o",
                 f"-p {self.port} -k {self.folder}/socket -c listen_addresses=127.0.0.1", "start")
        (self.folder / "server.json").write_text(json.dumps({"port": self.port}) + "\n")
        return self

    def pids(self):
        """The server's own id, and those of its children."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return []
        if start_time(pid) is None:
            return []
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return [pid, *map(int, children.read_text().split())]

    def is_alive(self):
        return bool(self.pids())

    def kill(self):
        """As a power cut would; start() brings it back."""
        pids = [(pid, start_time(pid)) for pid in self.pids()]
        for pid, started in pids:
            if started is not None and start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)
        for pid, started in pids:
            wait_gone(pid, started)
        # Both tell the next start that a server is running.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for lock in (self.folder / "socket").glob(".s.PGSQL.*.lock"):
            lock.unlink()

    def freeze(self, frozen=True):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):  # one of its children may have ended
                os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self, mode="fast"):
        if self.is_alive():
            self.freeze(False)
            self.run(self.bin / "pg_ctl", "-D", self.data, "-m", mode, "-w", "-s", "stop")

    def promote(self):
        self.run(self.bin / "pg_ctl", "-D", self.data, "-w", "-s", "promote")

    def wait_gone(self, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop("immediate")


def main():
    parser = argparse.ArgumentParser(prog="script/services/postgres", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("up", "down"))
    parser.add_argument("--folder", type=Path, default=ROOT / "build/services/postgres")
    arguments = parser.parse_args()
    try:
        server = Postgres(arguments.folder)
        if arguments.verb == "down":
            server.stop()
        else:
            print(f"dsn: {server.start().dsn}")
    except Unavailable as error:
        say("postgres", error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
