"""Runs inside the server's network namespace: the server, and a relay from the port given.

Arguments: a listening socket's file descriptor, the folder of the data, that of the program, 1 for
a server that asks for passwords. Writes one byte when the server answers; ends, with all its
group, when the standard input is closed, so that a server never outlives its tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import milvus

_PORT = 19530
_HEALTH_PORT = 9091


def loopback_up() -> None:
    """What `ip link set lo up` does, without that command."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        siocsifflags, iff_up = 0x8914, 0x1
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh14x", b"lo", iff_up))


def start_server(folder: Path, unpacked: Path, authorization: bool) -> subprocess.Popen[bytes]:
    config = milvus.MilvusServerConfig(data_dir=str(folder))
    config.configs.update(
        proxy_port=_PORT, authorization_enabled=authorization, etcd_log_level="error"
    )
    config.resolve()
    for key in ("authorization_enabled", "etcd_log_level"):
        config.set(key, config.configs[key])
    # A strong read waits for the next tick of the clock, 200 ms by default.
    config.set("proxy.timeTickInterval", 20)
    # Loading a new collection waits for several of its watchers' rounds.
    config.set("queryCoord.checkInterval", 100)
    config.set("queryCoord.distPullInterval", 50)
    # Started again after a kill, it waits until the sessions of the one killed have ended.
    config.set("common.session.ttl", 5)
    config.set("log.level", "warn")
    # Memory of a machine shared with others says nothing about this server.
    config.set("quotaAndLimits.limitWriting.memProtection.enabled", "false")
    config.write_config()
    milvus._initialize_data_files(str(unpacked))
    program = unpacked / "bin" / "milvus"
    environment = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": str(_HEALTH_PORT),
        "MILVUS_RUN_DIR": str(folder / "run"),
        "LD_LIBRARY_PATH": f"{program.parent}:{os.environ.get('LD_LIBRARY_PATH', '')}",
    }
    log = (folder / "logs" / "server.log").open("wb")
    return subprocess.Popen(
        [str(program), "run", "standalone"], cwd=folder, env=environment,
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )  # fmt: skip


def wait_for(server: subprocess.Popen[bytes]) -> None:
    while True:
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}")
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{_HEALTH_PORT}/healthz", timeout=5) as answer,
        ):
            if b"OK" in answer.read():
                return
        time.sleep(0.1)


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def relay(listener: socket.socket) -> None:
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", _PORT))
        except OSError:
            near.close()
            continue
        for pair in ((near, far), (far, near)):
            for each in pair:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=pump, args=pair, daemon=True).start()


def end_with_input() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    threading.Thread(target=end_with_input, daemon=True).start()
    loopback_up()
    server = start_server(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "1")
    wait_for(server)
    listener = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=relay, args=(listener,), daemon=True).start()
    os.write(1, b".")
    server.wait()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
