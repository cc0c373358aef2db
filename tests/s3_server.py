"""An S3 server on this machine, with a proxy in front of it that lets requests fail on purpose."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

import boto3
from fsspec.asyn import sync
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from alps_geo.runs import fsspec as storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET = "bucket"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Nothing of the user's own.
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "AWS_EC2_METADATA_DISABLED": "true",
}

Request = tuple[str, str]
"""Method and path of a request."""


@dataclass
class Proxy:
    """The server as the program sees it.

    Attributes
    ----------
    port : int
        Port of the server behind it.
    fault : callable
        Called with each request; returns "503" or "403" to refuse it, "cut" to close the
        connection, "delay" to answer too late, or "" to hand it on.
    requests : list of Request
        All requests in their order.
    """

    port: int
    fault: Callable[[Request], str] = lambda _: ""
    requests: list[Request] = field(default_factory=list)
    late: threading.Event = field(default_factory=threading.Event)

    def puts(self) -> list[str]:
        """List the names of objects that were put, in order."""
        start = f"/{BUCKET}/"
        return [path.removeprefix(start) for method, path in self.requests if method == "PUT"]

    def names(self) -> list[str]:
        """List the objects that there are."""
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [each["Key"] for each in found]

    def content(self, name: str) -> bytes:
        """Read an object."""
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        return content

    def files(self, folder: str) -> dict[str, bytes]:
        """Read all objects below a folder of the bucket, by their names in it."""
        names = [name for name in self.names() if name.startswith(f"{folder}/")]
        return {name.removeprefix(f"{folder}/"): self.content(name) for name in names}

    @cached_property
    def client(self) -> boto3.client:
        """A client of the server itself, past the proxy."""
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}")


_REFUSED = {
    "503": ("SlowDown", "Please reduce your request rate."),
    "403": ("AccessDenied", "Access Denied"),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = (self.command, self.path.partition("?")[0])
        self.proxy.requests.append(request)
        fault = self.proxy.fault(request)
        if fault == "delay":
            self.proxy.late.wait(30)
        if fault in {"cut", "delay"}:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        elif fault:
            code, message = _REFUSED[fault]
            content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            self._answer(int(fault), {}, content.encode())
        else:
            behind = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=60)
            # Closed even if the server stops before it answers: a request of the last moment.
            with closing(behind):
                behind.request(self.command, self.path, body, dict(self.headers))
                found = behind.getresponse()
                self._answer(found.status, dict(found.getheaders()), found.read())

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def some_requests_fail(proxy: Proxy) -> None:
    """Refuse every seventh request from now on, and cut every eleventh."""
    counts = iter(range(1, 10**6))

    def fault(_: object) -> str:
        count = next(counts)
        return "503" if count % 7 == 0 else "cut" if count % 11 == 0 else ""

    proxy.fault = fault


def down_from(proxy: Proxy, part: str) -> None:
    """Answer no request from the time on that an object is put whose name has this ending."""
    down = False

    def fault(request: Request) -> str:
        nonlocal down
        down |= request[0] == "PUT" and request[1].endswith(part)
        return "503" if down else ""

    proxy.fault = fault


class SlowReads:
    """Answers requests for stored tiles and images after a while, and counts those under way.

    The first are held until some are under way together, however busy the machine is.
    """

    def __init__(self, proxy: Proxy, together: int) -> None:
        self.most, self._now, self._together = 0, 0, together
        self._changed = threading.Condition()
        proxy.fault = self

    def __call__(self, request: Request) -> str:
        """Wait before a request is handed on."""
        if request[0] == "GET" and request[1].endswith(".npz"):
            with self._changed:
                self._now += 1
                self.most = max(self.most, self._now)
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self.most >= self._together, timeout=30):
                    self._together = 0
            time.sleep(0.1)
            with self._changed:
                self._now -= 1
        return ""


def nothing_fails(proxy: Proxy) -> None:
    """Answer all requests again."""
    proxy.fault = lambda _: ""


@contextmanager
def running_server(patch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Run a server with one bucket behind a proxy, and point the program at it."""
    for name, value in CREDENTIALS.items():
        patch.setenv(name, value)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    proxy = Proxy(server.get_host_and_port()[1])
    # The servers of one process share what they hold.
    with urlopen(f"http://127.0.0.1:{proxy.port}/moto-api/reset", data=b""):
        pass
    proxy.client.create_bucket(Bucket=BUCKET)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    front = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    front.daemon_threads = True
    thread = threading.Thread(target=front.serve_forever, daemon=True)
    thread.start()
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{front.server_port}")
    forget_stores()
    try:
        yield proxy
    finally:
        proxy.late.set()
        forget_stores()
        front.shutdown()
        front.server_close()
        proxy.client.close()
        server.stop()


def forget_stores() -> None:
    """Close all stores, and let the program open them again, as a new process does.

    s3fs waits a tenth of a second for its connections to close when it is collected, which may be
    in another test, and leaves them open after that.
    """
    storage._opened.cache_clear()
    for system in list(S3FileSystem._cache.values()):
        if system._s3 is not None:
            sync(system.loop, system._s3.__aexit__, None, None, None)
    S3FileSystem.clear_instance_cache()
