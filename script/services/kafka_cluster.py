"""Real Apache Kafka brokers for tests and for trying weir, on loopback, in a folder of their own.

As a program (script/services/kafka calls it):

    script/services/kafka up [--nodes N] [--sasl] [--folder DIR]   starts them, prints how to reach them
    script/services/kafka down [--folder DIR]                      stops what that folder's brokers are
    script/services/kafka tool CLASS ARGUMENT...                   a command-line tool of Kafka's

As a module: Cluster(folder, nodes=3).start(); each node can be killed, frozen and started again.

Every node is broker and controller (KRaft). Ports are free ones, chosen at the first start and kept
through restarts. Jars come through Maven into a cache folder outside the tree, once per version.
"""
import argparse
import base64
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from service import (ROOT, Unavailable, cache_folder, free_ports, install, is_open, start_time,
                     wait_gone)
from service import say as say_as

KAFKA = "4.1.1"
LOG4J = "2.24.3"
ARTIFACTS = (("org.apache.kafka", "kafka_2.13", KAFKA),
             ("org.apache.kafka", "kafka-tools", KAFKA),
             ("org.apache.logging.log4j", "log4j-api", LOG4J),
             ("org.apache.logging.log4j", "log4j-core", LOG4J),
             ("org.apache.logging.log4j", "log4j-1.2-api", LOG4J),
             ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J))
JAVA_FLAGS = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
START_TIMEOUT_S = 120
# What an Event Hubs client sends as user and password.
EVENT_HUBS_USER = "$ConnectionString"
EVENT_HUBS_PASSWORD = ("Endpoint=sb://localhost/;SharedAccessKeyName=Root;"
                       "SharedAccessKey=abc+/=")
SASL_USER, SASL_PASSWORD = "weir", "weir-secret"
CLIENT_KEY_PASSWORD = "key-secret"

POM = """<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>weir</groupId><artifactId>services</artifactId><version>1</version>
  <dependencies>{}</dependencies>
</project>
"""
DEPENDENCY = ("<dependency><groupId>{}</groupId><artifactId>{}</artifactId>"
              "<version>{}</version></dependency>")


def say(*words):
    say_as("kafka", *words)


# --- the jars ---

def jars():
    """The class path of Kafka's jars, fetched when they are not there yet."""
    pom = POM.format("".join(DEPENDENCY.format(*artifact) for artifact in ARTIFACTS))
    folder = cache_folder() / f"kafka-{KAFKA}-{hashlib.sha256(pom.encode()).hexdigest()[:12]}"
    if shutil.which("java") is None:
        install("kafka", "openjdk-17-jre-headless")
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.parent / "kafka.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                fetch_jars(pom, folder)
    return f"{folder}/*"


def fetch_jars(pom, folder):
    if shutil.which("mvn") is None:
        install("kafka", "maven")
    say(f"fetching Kafka {KAFKA} through Maven (once)")
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    (temporary / "pom.xml").write_text(pom)
    done = subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies",
                           "-DoutputDirectory=jars"], cwd=temporary, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable("Maven could not fetch Kafka: " + (done.stdout + done.stderr)[-2000:])
    os.rename(temporary / "jars", folder)
    shutil.rmtree(temporary)


def java(main_class, *arguments, **options):
    return subprocess.run(["java", *JAVA_FLAGS[2:], "-cp", jars(), main_class, *map(str, arguments)],
                          capture_output=True, text=True, **{"stdin": subprocess.DEVNULL, **options})


def tool(name, *arguments, **options):
    """Runs a tool, say TopicCommand or consumer.group.ConsumerGroupCommand: (exit status, output)."""
    done = java(name if name.startswith("org.") else "org.apache.kafka.tools." + name, *arguments,
                **options)
    return done.returncode, done.stdout + done.stderr


# --- processes ---

class Node:
    """One broker and controller. `state` is what the folder's cluster.json keeps of it."""

    def __init__(self, cluster, state):
        self.cluster = cluster
        self.state = state
        self.id = state["id"]
        self.folder = cluster.folder / f"node-{self.id}"
        self.process = None

    @property
    def port(self):
        """Of the listener that clients use."""
        return self.state["sasl_port"] if self.cluster.sasl else self.state["port"]

    def properties(self):
        nodes = self.cluster.nodes
        small = min(3, len(nodes))
        listeners = [f"PLAIN://127.0.0.1:{self.state['port']}"]
        advertised = list(listeners)
        protocols = ["PLAIN:PLAINTEXT", "CONTROLLER:PLAINTEXT"]
        lines = {
            "process.roles": "broker,controller",
            "node.id": self.id,
            "controller.quorum.voters": ",".join(
                f"{node.id}@127.0.0.1:{node.state['controller_port']}" for node in nodes),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAIN",
            "log.dirs": self.folder / "data",
            "num.partitions": 1,
            "auto.create.topics.enable": "false",
            "default.replication.factor": small,
            "min.insync.replicas": 2 if small == 3 else 1,
            "offsets.topic.replication.factor": small,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": small,
            "transaction.state.log.min.isr": 2 if small == 3 else 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": small,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "log.cleaner.dedupe.buffer.size": 4194304,
            "log.cleaner.backoff.ms": 1000,
            "log.retention.check.interval.ms": 1000,
            "log.initial.task.delay.ms": 1000,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
            "offsets.retention.check.interval.ms": 1000,
        }
        if self.cluster.sasl:
            listeners.append(f"SASL_SSL://127.0.0.1:{self.state['sasl_port']}")
            advertised.append(f"SASL_SSL://localhost:{self.state['sasl_port']}")
            protocols.append("SASL_SSL:SASL_SSL")
            listeners.append(f"TLS://127.0.0.1:{self.state['tls_port']}")
            advertised.append(f"TLS://localhost:{self.state['tls_port']}")
            protocols.append("TLS:SSL")
            users = {EVENT_HUBS_USER: EVENT_HUBS_PASSWORD, SASL_USER: SASL_PASSWORD}
            plain = " ".join(f'user_{user}="{password}"' for user, password in users.items())
            login = "org.apache.kafka.common.security.{}LoginModule required {};"
            lines |= {
                "listener.name.sasl_ssl.sasl.enabled.mechanisms":
                    "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
                "listener.name.sasl_ssl.plain.sasl.jaas.config": login.format("plain.Plain", plain),
                "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config":
                    login.format("scram.Scram", ""),
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config":
                    login.format("scram.Scram", ""),
                # Takes tokens that nobody has signed: who is meant is all that is looked at.
                "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config":
                    login.format("oauthbearer.OAuthBearer", 'unsecuredLoginStringClaim_sub="broker"'),
                "listener.name.sasl_ssl.ssl.keystore.type": "PEM",
                "listener.name.sasl_ssl.ssl.keystore.location": self.cluster.folder / "server.pem",
                "listener.name.tls.ssl.keystore.type": "PEM",
                "listener.name.tls.ssl.keystore.location": self.cluster.folder / "server.pem",
                "listener.name.tls.ssl.truststore.type": "PEM",
                "listener.name.tls.ssl.truststore.location": self.cluster.folder / "ca.pem",
                "listener.name.tls.ssl.client.auth": "required",
                "authorizer.class.name":
                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "allow.everyone.if.no.acl.found": "true",
            }
        lines |= {
            "listeners": ",".join([*listeners,
                                   f"CONTROLLER://127.0.0.1:{self.state['controller_port']}"]),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": ",".join(protocols),
        }
        lines |= self.cluster.config
        return "".join(f"{key}={value}\n" for key, value in lines.items())

    def format(self):
        self.folder.mkdir(parents=True)
        (self.folder / "server.properties").write_text(self.properties())
        (self.folder / "log4j2.properties").write_text(
            "rootLogger.level=WARN\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\n"
            "appender.out.name=out\nappender.out.layout.type=PatternLayout\n"
            "appender.out.layout.pattern=%d %p %m (%c{1})%n\n")
        scram = []
        if self.cluster.sasl:
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                scram += ["--add-scram", f"{mechanism}=[name={SASL_USER},password={SASL_PASSWORD}]"]
        done = java("kafka.tools.StorageTool", "format", "-t", self.cluster.id, "-c",
                    self.folder / "server.properties", *scram)
        if done.returncode != 0:
            raise Unavailable("Kafka's storage could not be formatted: " + done.stdout + done.stderr)

    def spawn(self):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                ["java", *JAVA_FLAGS, f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties",
                 "-cp", jars(), "kafka.Kafka", self.folder / "server.properties"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True)
        self.state["pid"] = self.process.pid
        self.state["start_time"] = start_time(self.process.pid)

    def is_alive(self):
        started = self.state.get("start_time")
        return started is not None and start_time(self.state["pid"]) == started

    def is_ready(self):
        return is_open(self.state["port"])

    def signal(self, number):
        if self.is_alive():
            os.kill(self.state["pid"], number)

    def wait_gone(self, timeout_s=60):
        if self.state.get("start_time") is not None and not wait_gone(
                self.state["pid"], self.state["start_time"], timeout_s):
            return False
        if self.process is not None:
            # Its first thread may be gone before those that hold its sockets.
            self.process.wait()
        return True

    def kill(self):
        """As a power cut of this node would."""
        self.signal(signal.SIGKILL)
        self.wait_gone()

    def stop(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if not self.wait_gone(30):
            self.kill()

    def start(self):
        """After kill or stop; does not wait until it is ready."""
        self.spawn()
        self.cluster.save()


class Cluster:
    """Brokers in `folder`. `config`: more settings of a broker, the same for all."""

    def __init__(self, folder, nodes=1, sasl=False, config=None):
        self.folder = Path(folder).resolve()
        self.sasl = sasl
        self.config = config or {}
        self.id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # StorageTool takes no id that looks like an option.
        while self.id.startswith("-"):
            self.id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        names = ("port", "sasl_port", "tls_port", "controller_port")
        ports = iter(free_ports(len(names) * nodes))
        self.nodes = [Node(self, {"id": i + 1, **{name: next(ports) for name in names}})
                      for i in range(nodes)]

    @classmethod
    def load(cls, folder):
        """What `up` left in that folder."""
        kept = json.loads((Path(folder) / "cluster.json").read_text())
        cluster = cls(folder, 0, kept["sasl"], kept["config"])
        cluster.id = kept["id"]
        cluster.nodes = [Node(cluster, state) for state in kept["nodes"]]
        return cluster

    def save(self):
        text = json.dumps({"id": self.id, "sasl": self.sasl, "config": self.config,
                           "nodes": [node.state for node in self.nodes]}, indent=2)
        temporary = self.folder / "cluster.json.tmp"
        temporary.write_text(text + "\n")
        os.replace(temporary, self.folder / "cluster.json")

    @property
    def bootstrap(self):
        """brokers, as clients take them."""
        host = "localhost" if self.sasl else "127.0.0.1"
        return ",".join(f"{host}:{node.port}" for node in self.nodes)

    @property
    def admin_bootstrap(self):
        """The listener without passwords, for tools; its user may do everything."""
        return ",".join(f"127.0.0.1:{node.state['port']}" for node in self.nodes)

    @property
    def tls_bootstrap(self):
        """The listener that asks for the client's certificate (client.pem, client.key)."""
        return ",".join(f"localhost:{node.state['tls_port']}" for node in self.nodes)

    def make_certificates(self):
        key, certificate = self.folder / "key.pem", self.folder / "ca.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out",
                        certificate], check=True, capture_output=True)
        (self.folder / "server.pem").write_text(key.read_text() + certificate.read_text())
        request = self.folder / "client.csr"
        subprocess.run(["openssl", "req", "-newkey", "rsa:2048", "-subj", "/CN=weir", "-passout",
                        "pass:" + CLIENT_KEY_PASSWORD, "-keyout", self.folder / "client.key", "-out",
                        request], check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", certificate, "-CAkey", key,
                        "-CAcreateserial", "-days", "2", "-out", self.folder / "client.pem"],
                       check=True, capture_output=True)

    def start(self):
        """Formats and starts all nodes, and waits until clients can work."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self.sasl:
            self.make_certificates()
        for node in self.nodes:
            node.format()
        for node in self.nodes:
            node.spawn()
        self.save()
        try:
            self.wait_ready()
        except Unavailable:
            self.stop()
            raise
        return self

    def wait_ready(self, timeout_s=START_TIMEOUT_S):
        deadline = time.monotonic() + timeout_s
        for node in self.nodes:
            while not node.is_ready():
                if not node.is_alive() or time.monotonic() > deadline:
                    log = (node.folder / "server.log").read_text(errors="replace")
                    raise Unavailable(f"broker {node.id} did not start: {log[-3000:]}")
                time.sleep(0.05)
                if node.process is not None:
                    node.process.poll()

    def stop(self):
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        for node in self.nodes:
            node.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()


# --- the command ---

def up(arguments):
    if (arguments.folder / "cluster.json").exists() and any(
            node.is_alive() for node in Cluster.load(arguments.folder).nodes):
        raise Unavailable(f"brokers of {arguments.folder} run already: script/services/kafka down")
    cluster = Cluster(arguments.folder, arguments.nodes, arguments.sasl).start()
    print(f"brokers: {cluster.bootstrap}")
    if cluster.sasl:
        print(f"admin: {cluster.admin_bootstrap} (no password)")
        print(f"ca_file: {cluster.folder / 'ca.pem'}")
        print(f"with a client's certificate: {cluster.tls_bootstrap} ({cluster.folder}/client.pem, "
              f"client.key, key_password {CLIENT_KEY_PASSWORD})")
        print(f"username: {SASL_USER}")
        print(f"password: {SASL_PASSWORD} (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)")
        print(f"event_hubs connection_string: {EVENT_HUBS_PASSWORD}")


def main():
    parser = argparse.ArgumentParser(prog="script/services/kafka", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    default = ROOT / "build/services/kafka"
    start = verbs.add_parser("up", help="start brokers")
    start.add_argument("--nodes", type=int, default=1, choices=(1, 3))
    start.add_argument("--sasl", action="store_true", help="TLS with passwords, as Event Hubs has")
    start.add_argument("--folder", type=Path, default=default)
    stop = verbs.add_parser("down", help="stop them")
    stop.add_argument("--folder", type=Path, default=default)
    command = verbs.add_parser("tool", help="run a tool of Kafka's, say TopicCommand")
    command.add_argument("name")
    command.add_argument("arguments", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        if arguments.verb == "up":
            up(arguments)
        elif arguments.verb == "down":
            if (arguments.folder / "cluster.json").exists():
                Cluster.load(arguments.folder).stop()
        else:
            status, output = tool(arguments.name, *arguments.arguments, stdin=None)
            sys.stdout.write(output)
            return status
    except Unavailable as error:
        say(error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
