"""A real MariaDB server for tests and for trying weir, on loopback, in a folder of its own.

    script/services/mariadb up [--folder DIR]     starts it, prints how to reach it
    script/services/mariadb down [--folder DIR]

As a module: MariaDB(folder).start(); it can be killed and started again. The user is root, on
loopback without a password; the database `weir` is there.
"""
import argparse
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from service import ROOT, Unavailable, free_ports, install, say, start_time, wait_gone

USER = "nobody"
DATABASE = "weir"
START_TIMEOUT_S = 60


class MariaDB:
    """One server. `settings`: more options of mariadbd."""

    def __init__(self, folder, settings=None):
        self.folder = Path(folder).resolve()
        self.data = self.folder / "data"
        self.settings = settings or {}
        self.port = free_ports(1)[0]
        self.process = None
        if shutil.which("mariadbd") is None:
            install("mariadb", "mariadb-server-core", "mariadb-client-core")

    def make(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(self.folder, pwd.getpwnam(USER).pw_uid, -1)
        done = subprocess.run(["mariadb-install-db", "--no-defaults", *self.user(),
                               f"--datadir={self.data}", "--auth-root-authentication-method=normal",
                               "--skip-test-db"], capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable("mariadb-install-db failed: " + (done.stdout + done.stderr)[-2000:])

    @staticmethod
    def user():
        return [f"--user={USER}"] if os.geteuid() == 0 else []

    def ask(self, sql):
        """What the command-line client prints; raises CalledProcessError."""
        return subprocess.run(["mariadb", "--no-defaults", "-uroot", "-S", self.folder / "socket",
                               "-BN", "-e", sql], check=True, capture_output=True, text=True).stdout

    def start(self):
        """Makes it first when the folder is not there."""
        is_new = not self.data.exists()
        if is_new:
            self.make()
        options = {"innodb-buffer-pool-size": "64M", **self.settings}
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", *self.user(), f"--datadir={self.data}",
             f"--socket={self.folder}/socket", f"--pid-file={self.folder}/pid",
             f"--log-error={self.folder}/server.err", "--bind-address=127.0.0.1",
             f"--port={self.port}", *(f"--{key}={value}" for key, value in options.items())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        self.wait_ready()
        if is_new:
            self.ask(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        return self

    def wait_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.ask("SELECT 1")
                return
            except subprocess.CalledProcessError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "server.err").read_text(errors="replace")
                    raise Unavailable("mariadbd did not start: " + log[-2000:]) from None
                time.sleep(0.05)

    def pid(self):
        """None when it does not run."""
        try:
            pid = int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if start_time(pid) is not None else None

    def signal_and_wait(self, number):
        pid = self.pid()
        if pid is not None:
            started = start_time(pid)
            os.kill(pid, number)
            wait_gone(pid, started)
        if self.process is not None:
            self.process.wait()

    def kill(self):
        """As a power cut would; start() brings it back."""
        self.signal_and_wait(signal.SIGKILL)

    def stop(self):
        self.signal_and_wait(signal.SIGTERM)

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()


def main():
    parser = argparse.ArgumentParser(prog="script/services/mariadb", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("up", "down"))
    parser.add_argument("--folder", type=Path, default=ROOT / "build/services/mariadb")
    arguments = parser.parse_args()
    try:
        server = MariaDB(arguments.folder)
        if arguments.verb == "down":
            server.stop()
        elif server.pid() is not None:
            raise Unavailable(f"a server of {arguments.folder} runs already:"
                              " script/services/mariadb down")
        else:
            server.start()
            print(f"host: 127.0.0.1\nport: {server.port}\nuser: root\ndatabase: {DATABASE}")
    except Unavailable as error:
        say("mariadb", error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
