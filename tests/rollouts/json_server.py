"""A server of JSON on this machine, in place of one of a model or of a hub."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JsonServer(ThreadingHTTPServer):
    """Answers each request, at once and in threads, with what `answer` says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, path: str, body: Any, key: str | None) -> tuple[int | None, Any]:
        """Return status and content (a text as it is, anything else as JSON); the status None drops the connection.

        `key`: what stands in the header Authorization. Of GET the body is {}.
        """
        raise NotImplementedError

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else {}
        status, content = self.server.answer(self.path.partition("?")[0], body, self.headers.get("Authorization"))
        if status is None:
            self.close_connection = True
            return

        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # whoever asked may have given up
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass
