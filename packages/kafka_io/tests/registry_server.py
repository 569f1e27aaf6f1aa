"""A schema registry of the tests' own, written from its REST interface: it can be away, refuse, or
let a key look up alone."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

AUTH = "feed:CANARYregistry0123"


@dataclass
class Registry:
    """``schemas`` are by number; ``subjects`` are the numbers of each."""

    url: str = ""
    schemas: dict[int, Any] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    away: bool = False
    """It answers 503."""
    locked: bool = False
    """It knows nobody: 401."""
    may_register: bool = True
    hidden: tuple[str, ...] = ()
    """Subjects that nobody may see: 403."""
    asked: list[str] = field(default_factory=list)

    def put(self, subject: str, schema: Any) -> int:
        """Register a schema as somebody else would."""
        number = next((n for n, known in self.schemas.items() if known == schema), None)
        if number is None:
            number = len(self.schemas) + 1
            self.schemas[number] = schema
        if number not in self.subjects.setdefault(subject, []):
            self.subjects[subject].append(number)
        return number

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and content."""
        self.asked.append(f"{method} {path}")
        if self.away:
            return 503, {"error_code": 50302, "message": "away"}
        if self.locked:
            return 401, {"error_code": 401, "message": "Unauthorized"}
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if method == "GET" and parts[:2] == ["schemas", "ids"]:
            schema = self.schemas.get(int(parts[2].partition("?")[0]))
            if schema is None:
                return 404, {"error_code": 40403, "message": "Schema not found"}
            return 200, {"schema": json.dumps(schema)}
        subject, register = parts[1].partition("?")[0], parts[2:] != []
        if subject in self.hidden or (register and not self.may_register):
            return 403, {"error_code": 40301, "message": "User is denied operation"}
        schema = json.loads(body["schema"])
        if register:
            return 200, {"id": self.put(subject, schema)}
        for number in self.subjects.get(subject, []):
            if self.schemas[number] == schema:
                answer = {"subject": subject, "id": number, "version": 1}
                return 200, answer | {"schema": body["schema"]}
        return 404, {"error_code": 40403, "message": "Schema not found"}


@contextmanager
def schema_registry() -> Iterator[Registry]:
    """It listens on this machine until the end."""
    registry = Registry()
    basic = "Basic " + base64.b64encode(AUTH.encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            assert self.headers["Authorization"] in (None, basic)
            length = int(self.headers["Content-Length"] or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            status, answer = registry.answer(self.command, self.path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
