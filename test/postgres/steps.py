"""Stands between weir and a server, and strikes at a chosen query."""
import os
import signal
import socket
import threading


class Steps:
    """Between weir and the server; calls `hit` at the n-th query that begins with `words`, before the
    server gets it, or when it has answered and weir does not know yet. Then nothing passes any more; or,
    where it `holds`, what was held up passes when `let_go` is set, and all that comes later."""

    def __init__(self, server_port, words, number, when, hit, holds=False):
        self.server_port, self.words, self.number, self.when = server_port, words, number, when
        self.hit, self.count, self.is_hit = hit, 0, threading.Event()
        self.is_struck, self.holds, self.let_go = threading.Event(), holds, threading.Event()
        self.port = 0
        self.listen()

    def listen(self):
        """Also again, at the same port, after `listener` was closed."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            for pair in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, come, go, is_query):
        while True:
            try:
                data = come.recv(1 << 16)
                if is_query and data[:1] == b"Q" and data[5:].startswith(self.words):
                    self.count += 1
                    if self.count == self.number and self.when == "before":
                        if not self._strike():
                            return
                    elif self.count == self.number:
                        self.is_hit.set()
                elif not is_query and self.is_hit.is_set() and self.when == "after":
                    self.is_hit.clear()
                    if not self._strike():
                        return
                if not data:
                    go.shutdown(socket.SHUT_RDWR)
                    return
                go.sendall(data)
            except OSError:
                return

    def _strike(self):
        """True when what was held up is to be passed on now."""
        self.hit()
        if not self.holds:
            self.listener.close()
        self.is_struck.set()
        return self.holds and self.let_go.wait()


# Moments of an epoch: the server waits for rows, and weir has not heard so; all but COMMIT is done.
COPY, COMMIT = (b"SAVEPOINT weir_rows; COPY", "after"), (b"COMMIT", "before")


def freeze_at(moment, pipeline, server_port, number=4):
    """(process, steps): SIGSTOP at the n-th such moment. `steps.let_go` goes with SIGCONT; until then later
    starts go past it."""
    process = None
    words, when = moment
    steps = Steps(server_port, words, number, when,
                  lambda: os.kill(process.process.pid, signal.SIGSTOP), holds=True)
    pipeline.edit(f"port={server_port}", f"port={steps.port}")
    process = pipeline.start()
    while not steps.is_struck.wait(0.2):
        assert process.is_running(), process.errors()
    pipeline.edit(f"port={steps.port}", f"port={server_port}")
    return process, steps
