"""What the services of this folder share: processes, ports, packages, and the commands up and down.

A service's module has a class that starts and stops it; its script of the same name is the command.
"""
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Unavailable(Exception):
    """The service cannot be had here; the text says what is missing."""


def say(name, *words):
    print(f"script/services/{name}:", *words, file=sys.stderr, flush=True)


def cache_folder():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "weir"


def install(name, *packages):
    """Through apt, as root or through sudo."""
    if shutil.which("apt-get") is None or (os.geteuid() != 0 and shutil.which("sudo") is None):
        raise Unavailable(f"install {', '.join(packages)} first")
    say(name, "installing:", *packages)
    root = [] if os.geteuid() == 0 else ["sudo"]
    for command in (("update",), ("install", "--no-install-recommends", *packages)):
        done = subprocess.run([*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q",
                               "-y", "-o", "DPkg::Lock::Timeout=300", *command],
                              capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"apt-get could not install {', '.join(packages)}: {done.stderr[-2000:]}")


# Bound as long as this process lives: nobody else is given a port while its server is down. They do not
# listen, and say so to the system (SO_REUSEADDR, as servers do too), so that the server can.
_reserved = []


def free_ports(count):
    """Ports of the loopback interface, reserved for servers that this process starts, again and again."""
    mine = [socket.socket() for _ in range(count)]
    for each in mine:
        each.bind(("127.0.0.1", 0))
        # Not before: the system would give a port that somebody else has reserved in this way.
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _reserved.extend(mine)
    return [each.getsockname()[1] for each in mine]


def start_time(pid):
    """Tells a process from a later one under the same id; None when there is none, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def wait_gone(pid, started, timeout_s=60):
    """Until that process has ended; False when it has not. Orphans may stay zombies for a while."""
    deadline = time.monotonic() + timeout_s
    while start_time(pid) == started:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_open(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
