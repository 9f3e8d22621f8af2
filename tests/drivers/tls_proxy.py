"""A daemon's unix socket behind TLS on loopback, as a remote dockerd shows itself: each way is closed on its own."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 16


def make_certificates(folder: Path) -> None:
    """ca.pem, and cert.pem with key.pem for server and client alike, as DOCKER_CERT_PATH has them."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    _openssl(folder, f"req -x509 {key} -days 2 -subj /CN=ca -keyout ca-key.pem -out ca.pem")
    _openssl(folder, f"req {key} -subj /CN=daemon -keyout key.pem -out request.pem")
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    signed = "x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile extensions"
    _openssl(folder, f"{signed} -out cert.pem")


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def tls_proxy(certificates: Path, upstream: str) -> Iterator[int]:
    """Its port on 127.0.0.1; only who shows a certificate of the authority is let through."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    listener.settimeout(0.1)
                    plain, _ = listener.accept()
                    threading.Thread(target=_handle, args=(context, plain, upstream), daemon=True).start()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield listener.getsockname()[1]
        stopped.set()
        server.join()


def _handle(context: ssl.SSLContext, plain: socket.socket, upstream: str) -> None:
    plain.settimeout(10)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as daemon:
        daemon.connect(upstream)
        with context.wrap_socket(plain, server_side=True) as client:
            client.setblocking(False)
            daemon.setblocking(False)
            _pump(client, daemon)
    plain.close()


def _pump(client: ssl.SSLSocket, daemon: socket.socket) -> None:
    """Until the daemon is done: what it says after the client's goodbye still arrives."""
    inward, outward = bytearray(), bytearray()
    listening = True
    while True:
        wanted = [daemon, *([client] if listening and len(inward) < _CHUNK else [])]
        writable = [*([client] if outward else []), *([daemon] if inward else [])]
        ready, _, _ = select.select(wanted, writable, [], 0 if listening and client.pending() else 10)
        if listening and (client in ready or client.pending()):
            with contextlib.suppress(ssl.SSLWantReadError):
                data = client.recv(_CHUNK)
                inward += data
                listening = bool(data)
        if inward:
            with contextlib.suppress(BlockingIOError):
                del inward[: daemon.send(inward)]
        if not listening and not inward:
            with contextlib.suppress(OSError):
                daemon.shutdown(socket.SHUT_WR)
        if daemon in ready and len(outward) < _CHUNK:
            data = daemon.recv(_CHUNK)
            if not data and not outward:
                return
            outward += data
        if outward:
            with contextlib.suppress(ssl.SSLWantWriteError):
                del outward[: client.send(outward)]
