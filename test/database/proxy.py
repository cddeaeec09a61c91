"""A TCP proxy between weir and the server that cuts connections around a COMMIT."""
import socket
import threading


def is_commit(data):
    """The whole of a simple query is sent at once: Q, length, text, NUL."""
    return data.endswith(b"COMMIT\0") and data[:1] == b"Q"


class Proxy:
    """Listens on `port`. `decide(n)` says of the n-th COMMIT: None (passes), "before" (it never
    reaches the server) or "after" (the server gets it, its answer never comes back).
    `is_commit(data)`: whether that is what a COMMIT looks like in the server's protocol."""

    def __init__(self, server_port, decide, is_commit=is_commit):
        self.server_port, self.decide, self.is_commit = server_port, decide, is_commit
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.commits = 0
        self.cuts = {"before": 0, "after": 0}
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            answering = threading.Event()
            answering.set()
            threading.Thread(target=self._to_server, args=(client, server, answering),
                             daemon=True).start()
            threading.Thread(target=self._to_client, args=(client, server, answering),
                             daemon=True).start()

    def _fate(self):
        with self.lock:
            self.commits += 1
            fate = self.decide(self.commits)
            if fate is not None:
                self.cuts[fate] += 1
            return fate

    def _to_server(self, client, server, answering):
        while True:
            try:
                data = client.recv(1 << 16)
            except OSError:
                data = b""
            fate = self._fate() if self.is_commit(data) else None
            try:
                if fate == "after":
                    answering.clear()
                if data and fate != "before":
                    server.sendall(data)
                if fate == "after":
                    server.recv(1)  # The server has answered: it is committed.
            except OSError:
                pass
            if not data or fate is not None:
                return close(client, server)

    def _to_client(self, client, server, answering):
        while True:
            try:
                # Peeked, so that the other thread can wait for the answer that must not pass.
                if not server.recv(1, socket.MSG_PEEK):
                    return close(client, server)
                if not answering.is_set():
                    return None
                client.sendall(server.recv(1 << 16))
            except OSError:
                return close(client, server)

    def close(self):
        self.listener.close()


def close(*sockets):
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()


def every_second(first=3):
    """Cuts every second COMMIT from that one on, after and before the server has it, in turn."""
    def decide(number):
        if number < first or (number - first) % 2:
            return None
        return "before" if (number - first) % 4 else "after"
    return decide
