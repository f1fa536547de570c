"""The proxies everybody has: nginx and HAProxy, configured for their best."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.environments import NotInstalled
from tests.bench.servers import Server, free_port, running

NGINX: Final = """\
daemon off;
worker_processes 1;
{user}pid {work}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    upstream rest {{ server 127.0.0.1:{http_upstream}; keepalive 256; keepalive_requests 100000000; }}
    upstream grpc {{ server 127.0.0.1:{grpc_upstream}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{
            proxy_pass http://rest;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            {buffers}
            proxy_max_temp_file_size 0;
        }}
    }}
    server {{
        listen 127.0.0.1:{grpc_port} http2;
        location / {{ grpc_pass grpc://grpc; }}
    }}
}}
"""

LARGE: Final = "proxy_buffer_size 256k; proxy_buffers 32 256k; proxy_busy_buffers_size 512k;"
"""Its fastest for 16 MB answers of those tried: the default buffers cost it twice the CPU."""

HAPROXY: Final = """\
global
    nbthread 1
    maxconn 4096
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
listen rest
    mode http
    bind 127.0.0.1:{port}
    server upstream 127.0.0.1:{http_upstream}
listen grpc
    mode http
    bind 127.0.0.1:{grpc_port} proto h2
    server upstream 127.0.0.1:{grpc_upstream} proto h2
"""


class ProxyPorts:
    """The REST and the gRPC side of one proxy process."""

    def __init__(self, server: Server, grpc_port: int) -> None:
        self.rest = server
        self.grpc = Server(server.name, server.pid, grpc_port, server.log)


def program(name: str, package: str) -> str:
    """The path of a program. Raises NotInstalled with the command that installs it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotInstalled(f"{name} is not installed: apt-get install {package}")
    return found


def version(name: str, package: str) -> str:
    """The version a program tells, as one line."""
    done = subprocess.run([program(name, package), "-v"], check=True, capture_output=True, text=True, timeout=10)
    return (done.stdout or done.stderr).splitlines()[0]


@contextmanager
def nginx(work: Path, http_upstream: int, grpc_upstream: int, *, small: bool = True) -> Iterator[ProxyPorts]:
    """One nginx with one worker and upstream keep-alive. `small` False sets its buffers for large bodies."""
    home, port, grpc_port = work / "nginx", free_port(), free_port()
    home.mkdir(exist_ok=True)
    config = home / "nginx.conf"
    config.write_text(
        NGINX.format(
            user="user root;\n" if os.geteuid() == 0 else "",
            work=home,
            port=port,
            grpc_port=grpc_port,
            http_upstream=http_upstream,
            grpc_upstream=grpc_upstream,
            buffers="" if small else LARGE,
        )
    )
    command = [program("nginx", "nginx-light"), "-e", "stderr", "-p", home, "-c", config]
    with running("nginx", command, port, work) as server:
        yield ProxyPorts(server, grpc_port)


@contextmanager
def haproxy(work: Path, http_upstream: int, grpc_upstream: int) -> Iterator[ProxyPorts]:
    """HAProxy with one thread."""
    port, grpc_port = free_port(), free_port()
    config = work / "haproxy.cfg"
    config.write_text(
        HAPROXY.format(port=port, grpc_port=grpc_port, http_upstream=http_upstream, grpc_upstream=grpc_upstream)
    )
    with running("haproxy", [program("haproxy", "haproxy"), "-db", "-f", config], port, work) as server:
        yield ProxyPorts(server, grpc_port)
