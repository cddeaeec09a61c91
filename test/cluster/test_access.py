"""Logging in, and what one is allowed, on a real broker with TLS, passwords, tokens, certificates and
an authorizer."""
import base64
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cluster.iot import Lab, name_of
from kafka_cluster import CLIENT_KEY_PASSWORD, EVENT_HUBS_PASSWORD, SASL_PASSWORD, SASL_USER

from checker.kafka_topic import client

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "certificate", "event_hubs")


@pytest.fixture
def make(sasl_broker, weir, root, tmp_path, request):
    """A pipeline on the broker's listener without passwords, which the tests' own client uses."""
    class Open:
        bootstrap = sasl_broker.admin_bootstrap
        nodes = sasl_broker.nodes
    return lambda records: Lab(Open, weir, root, tmp_path, name_of(request), records)


@pytest.fixture
def token_endpoint():
    """Gives tokens that nobody has signed, to who knows the secret."""
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            expected = base64.b64encode(b"weir-client:token-secret").decode()
            if self.headers["Authorization"] != "Basic " + expected:
                self.send_error(401)
                return
            now = int(time.time())
            parts = ({"alg": "none"}, {"sub": "weir", "iat": now, "exp": now + 600})
            token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
                             for part in parts) + "."
            answer = json.dumps({"access_token": token, "token_type": "bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *unused):
            pass
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/token"
    server.shutdown()


def secret(it, name, text):
    path = it.folder / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return f"{{file: {name}}}"


def log_in(it, cluster, how, endpoint):
    """The connection of p.yaml becomes one that logs in like that."""
    text = (it.folder / "p.yaml").read_text()
    tls = f"ca_file: {cluster.folder}/ca.pem"
    properties = re.search(r"properties: (\{.*?\})", text)[1]
    if how == "event_hubs":
        connection = (f"event_hubs: {{namespace: '{cluster.bootstrap}', connection_string: "
                      f"{secret(it, 's', EVENT_HUBS_PASSWORD)}, tls: {{{tls}}}, "
                      f"properties: {properties}}}")
        text = text.replace("  kafka: {connection", "  event_hubs: {connection")
    else:
        brokers = cluster.bootstrap
        if how == "certificate":
            brokers, sasl = cluster.tls_bootstrap, ""
            tls += (f", cert_file: {cluster.folder}/client.pem, key_file: {cluster.folder}/client.key"
                    f", key_password: {secret(it, 's', CLIENT_KEY_PASSWORD)}")
        elif how == "OAUTHBEARER":
            sasl = (f", sasl: {{mechanism: OAUTHBEARER, token_endpoint: '{endpoint}', client_id: "
                    f"weir-client, client_secret: {secret(it, 's', 'token-secret')}, scope: weir}}")
        else:
            sasl = (f", sasl: {{mechanism: {how}, username: {SASL_USER}, password: "
                    f"{secret(it, 's', SASL_PASSWORD)}}}")
        connection = (f"kafka: {{brokers: ['{brokers}'], tls: {{{tls}}}{sasl}, "
                      f"properties: {properties}}}")
    text = re.sub(r"connections: .*", lambda _: f"connections: {{kafka: {{{connection}}}}}", text)
    (it.folder / "p.yaml").write_text(text)


@pytest.mark.parametrize("how", MECHANISMS)
def test_every_way_to_log_in(make, sasl_broker, token_endpoint, how):
    """The pipeline of the tour, judged against the truth; with another secret, nothing."""
    it = make(2000)
    it.feed()
    log_in(it, sasl_broker, how, token_endpoint)
    it.run()
    it.judge()
    if how != "certificate":
        secret(it, "s", "Endpoint=sb://x/;SharedAccessKeyName=x;SharedAccessKey=canary")
        refused = it.run(status=2)
        assert "kafka.login" in refused.stderr and "canary" not in refused.stderr, refused.stderr


# --- what one is allowed ---

def entry(kind, name, operation):
    acl = client().admin
    return acl.ACL(principal=f"User:{SASL_USER}", host="*", operation=acl.ACLOperation[operation],
                   permission_type=acl.ACLPermissionType.DENY,
                   resource_pattern=acl.ResourcePattern(acl.ResourceType[kind], name))


class Withdrawn:
    """A right that is taken away, until give_back()."""

    def __init__(self, it, kind, name, operation):
        self.it, self.acl = it, entry(kind, name, operation)
        with it.admin() as asked:
            asked.create_acls([self.acl])

    def give_back(self):
        with self.it.admin() as asked:
            asked.delete_acls([self.acl])


RIGHTS = {
    "read the source": ("TOPIC", "{}-raw", "READ"),
    "write rows": ("TOPIC", "{}-validated", "WRITE"),
    "write progress": ("TOPIC", "weir.progress.{}", "WRITE"),
    "be in the group": ("GROUP", "{}", "READ"),
    "use transactions": ("TRANSACTIONAL_ID", "weir.{}.one", "WRITE"),
}


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_is_withdrawn(make, sasl_broker, right):
    """While it runs, and before it starts: it stops and says so; given back, nothing is missing."""
    it = make(4000)
    it.edit("-raw}", "-raw, instance_id: one}")
    log_in(it, sasl_broker, "PLAIN", None)
    it.run()
    kind, name, operation = RIGHTS[right]
    process = it.start()
    feeding = it.feeding(3)
    time.sleep(1)
    withdrawn = Withdrawn(it, kind, name.format(it.name), operation)
    try:
        assert process.wait(timeout=60) == 2, it.said()
        assert "kafka.not_allowed" in it.said(), it.said()
        refused = it.run(status=2).stderr
        assert "kafka.not_allowed" in refused, refused
        if kind == "GROUP":
            assert f"group '{it.name}'" in it.said() + refused, it.said()
    finally:
        withdrawn.give_back()
        process.kill()
        feeding.join()
    it.run()
    it.judge()


def test_a_right_is_withdrawn_while_it_starts(make, sasl_broker, long_run):
    """At any moment of a start the process stops, and does not hang in leaving the group."""
    it = make(4000)
    it.edit("-raw}", "-raw, instance_id: one}")
    log_in(it, sasl_broker, "PLAIN", None)
    it.feed()
    it.run()
    kind, name, operation = RIGHTS["use transactions"]
    for number in range(40 if long_run else 6):
        process = it.start()
        time.sleep(0.1 + 0.1 * (number % 8))
        withdrawn = Withdrawn(it, kind, name.format(it.name), operation)
        try:
            it.feed()
            assert process.wait(timeout=20) == 2, it.said()
        finally:
            process.kill()
            withdrawn.give_back()
    assert it.said().count("kafka.not_allowed") == it.said().count("weir: "), it.said()
