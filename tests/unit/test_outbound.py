"""Where requests of users may go: addresses judged, names looked up once, redirects and rebinding refused."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.outbound import AddressRefusedError, OutboundPolicy, is_public
from infra.outbound_client import OutboundClient, resolve
from infra.outbound_watch import OutboundWatch
from schemas.errors import CallTimeoutError, ConfigurationError, UnavailableError
from tests.rest_server import Reply, RestServer

CLOSED = OutboundPolicy()
OPEN = OutboundPolicy(allow_private=True)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("100.64.0.1", "100.127.255.255", "169.254.1.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
        *("255.255.255.255", "192.0.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "203.0.113.1"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe"),
    ],
)
def test_what_is_not_of_the_internet_is_refused_unless_allowed(address: str) -> None:
    with pytest.raises(AddressRefusedError, match=r"notifications\.allow_private"):
        CLOSED.check(address)
    OPEN.check(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "2606:4700::1111",
        "64:ff9b::808:808",
    ],
)
def test_hosts_of_the_internet_pass(address: str) -> None:
    CLOSED.check(address)
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "2002:a9fe:a9fe::"),
        *("fe80::a9fe:a9fe%eth0", "169.254.42.42", "fd00:42::42", "::ffff:169.254.0.23"),
    ],
)
def test_metadata_services_are_refused_whatever_is_allowed(address: str) -> None:
    for policy in (CLOSED, OPEN):
        with pytest.raises(AddressRefusedError, match="metadata"):
            policy.check(address)


@pytest.mark.parametrize(
    "host", ["localhost", "example.com", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", ""]
)
def test_only_addresses_in_numbers_are_judged(host: str) -> None:
    with pytest.raises(AddressRefusedError, match="no address in numbers"):
        OPEN.check(host)


class Names:
    """Answers each look-up of a name with the next of its addresses."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0)


async def posted(server: RestServer, policy: OutboundPolicy, names: Names, path: str = "/") -> int:
    url = f"http://hook.example:{server.url.rpartition(':')[2]}{path}"
    return (await OutboundClient(url, policy, names).post(b"{}", {}, 5)).status


async def test_a_name_is_looked_up_once_and_its_judged_address_is_connected_to() -> None:
    async with RestServer().running() as server:
        names = Names(["127.0.0.1"])
        assert await posted(server, OPEN, names) == 200
        assert names.asked == ["hook.example"]
        assert "host: hook.example:" in server.heads[0].lower()


async def test_a_name_that_is_bound_anew_leads_nowhere() -> None:
    async with RestServer().running() as server:
        # Public when it is checked, ours when it is connected to: the classical attack needs two look-ups.
        names = Names(["127.0.0.1"], ["1.1.1.1"])
        with pytest.raises(AddressRefusedError, match=r"hook\.example \(127\.0\.0\.1\)"):
            await posted(server, CLOSED, names)
        assert names.asked == ["hook.example"]
        assert server.connections == 0


async def test_of_several_addresses_only_those_allowed_are_tried() -> None:
    async with RestServer().running() as server:
        assert await posted(server, OPEN, Names(["169.254.169.254", "127.0.0.1"])) == 200
        with pytest.raises(AddressRefusedError):
            await posted(server, CLOSED, Names(["127.0.0.1", "::1", "10.0.0.1"]))
        assert server.connections == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1"])
async def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    async with RestServer().running() as server:
        url = f"http://{host}:{server.url.rpartition(':')[2]}/"
        with pytest.raises(AddressRefusedError):
            await OutboundClient(url, CLOSED).post(b"", {}, 5)
        assert (await OutboundClient(url, OPEN).post(b"", {}, 5)).status == 200
        assert server.connections == 1


async def test_redirects_are_answers_and_not_followed() -> None:
    async with RestServer(lambda _: Reply(b"", 307, {"Location": "/elsewhere"})).running() as server:
        assert await posted(server, OPEN, Names(["127.0.0.1"])) == 307
        assert server.paths == ["/"]


async def test_a_slow_answer_is_cut_off_and_a_long_one_not_read_to_its_end() -> None:
    async with RestServer(lambda _: Reply(b"x" * 100, pause_s=0.1, portion_bytes=1)).running() as server:
        with pytest.raises(CallTimeoutError, match=r"did not answer within 0\.3 s"):
            await OutboundClient(server.url, OPEN).post(b"", {}, 0.3)
        server.answer = lambda _: Reply(b"x" * 1_000_000)
        assert len((await OutboundClient(server.url, OPEN).post(b"", {}, 5)).body) == 16 * 1024


async def test_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    context, trust = certificate(tmp_path, "hook.example")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        right = OutboundClient(f"https://hook.example:{port}/", OPEN, Names(["127.0.0.1"]), trust)
        assert (await right.post(b"", {}, 5)).status == 204
        wrong = OutboundClient(f"https://other.example:{port}/", OPEN, Names(["127.0.0.1"]), trust)
        with pytest.raises(UnavailableError, match="certificate"):
            await wrong.post(b"", {}, 5)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server of this name shows, and what trusts it."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown = made.public_bytes(serialization.Encoding.PEM)
    hidden = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(hidden + shown)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=shown.decode())


async def test_a_url_goes_over_the_wire_in_ascii() -> None:
    async with RestServer().running() as server:
        names = Names(["127.0.0.1"])
        url = f"http://bücher.example:{server.url.rpartition(':')[2]}/a b/päth?x=ü&y=%20&z=1+1#part"
        assert (await OutboundClient(url, OPEN, names).post(b"", {}, 5)).status == 200
        assert names.asked == ["xn--bcher-kva.example"]
        assert server.paths == ["/a%20b/p%C3%A4th?x=%C3%BC&y=%20&z=1+1"]


async def test_what_cannot_be_found_may_pass() -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(UnavailableError, match=r"hook\.example cannot be found"):
        await OutboundClient("http://hook.example/", OPEN, nowhere).post(b"", {}, 5)


@pytest.mark.parametrize(
    "url",
    ["ftp://host/", "https:///path", "host/path", "https://host:99999/", "https://host:x/", "https://[::1/"],
)
def test_only_http_is_posted_to(url: str) -> None:
    with pytest.raises(ConfigurationError, match="https://host/path"):
        OutboundClient(url, CLOSED)


async def test_the_system_gives_addresses_in_numbers() -> None:
    for address in await resolve("localhost", 80):
        assert ipaddress.ip_address(address).is_loopback


async def test_a_watch_holds_for_its_own_thread_alone() -> None:
    async with RestServer().running() as server:
        watch, statuses = OutboundWatch(CLOSED), []

        def watched() -> None:
            with watch:
                inside.set()
                finished.wait(5)
                with pytest.raises(requests.ConnectionError):
                    requests.get(server.url, timeout=5)

        inside, finished = threading.Event(), threading.Event()
        thread = asyncio.create_task(asyncio.to_thread(watched))
        await asyncio.to_thread(inside.wait, 5)
        statuses.append((await asyncio.to_thread(requests.get, server.url, timeout=5)).status_code)
        finished.set()
        await thread
        statuses.append((await asyncio.to_thread(requests.get, server.url, timeout=5)).status_code)
        assert statuses == [200, 200]
        assert server.connections == 2
        assert len(watch.refusals) == 1


async def test_a_watch_tells_what_was_answered() -> None:
    reply = Reply(b'{"why": "x"}', 429, {"Retry-After": "5"})
    async with RestServer(lambda _: reply).running() as server:
        watch = OutboundWatch(OPEN)

        def call() -> bytes:
            with watch:
                return requests.post(server.url, data=b"x", timeout=5).content

        assert await asyncio.to_thread(call) == reply.body
        [answer] = watch.answers
        assert (answer.status, answer.headers["retry-after"], bytes(answer.body)) == (429, "5", reply.body)


async def test_a_name_that_leads_to_this_machine_is_refused_to_a_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = socket.getaddrinfo

    def resolver(host: str, *options: Any, **more: Any) -> Any:
        return known("127.0.0.1" if host == "hook.example" else host, *options, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    async with RestServer().running() as server:
        url = server.url.replace("127.0.0.1", "hook.example")

        def call(watch: OutboundWatch) -> int:
            with watch:
                return requests.get(url, timeout=5).status_code

        refusing = OutboundWatch(CLOSED)
        with pytest.raises(requests.ConnectionError):
            await asyncio.to_thread(call, refusing)
        assert "127.0.0.1 is not an address of the internet" in refusing.refusals[0]
        assert server.connections == 0
        assert await asyncio.to_thread(call, OutboundWatch(OPEN)) == 200


def test_a_watch_sees_sockets_of_every_kind(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as own, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        own.bind(str(tmp_path / "s"))
        own.listen()
        with OutboundWatch(CLOSED) as watch:
            with (
                socket.socket(socket.AF_UNIX) as other,
                pytest.raises(OSError, match="leads to this machine"),
            ):
                other.connect(str(tmp_path / "s"))
            with pytest.raises(OSError, match="not an address of the internet"):
                datagrams.sendto(b"x", ("127.0.0.1", 9))
            with pytest.raises(OSError, match="not an address of the internet"):
                datagrams.sendmsg([b"x"], [], 0, ("127.0.0.1", 9))
            with socket.socket() as plain, pytest.raises(OSError, match="no address in numbers"):
                plain.connect(("localhost", 9))
            with socket.socket() as plain, pytest.raises(OSError, match="not an address of the internet"):
                plain.connect_ex(("127.0.0.1", 9))
        assert len(watch.refusals) == 5
        for name in ("2852039166", "0xa9fea9fe", "0251.0376.43518"):
            with OutboundWatch(OPEN), socket.socket() as plain:
                plain.settimeout(0.1)
                with pytest.raises(OSError, match="metadata service"):
                    plain.connect((name, 80))
        with OutboundWatch(OPEN), socket.socket(socket.AF_UNIX) as other:
            other.connect(str(tmp_path / "s"))
            datagrams.sendto(b"x", ("localhost", 9))


async def test_a_watch_lets_no_library_follow_a_redirect() -> None:
    def answer(path: str) -> Reply:
        return Reply(b"{}") if path == "/there" else Reply(b"", 302, {"Location": "/there"})

    async with RestServer(answer).running() as server:

        def call(policy: OutboundPolicy) -> tuple[OutboundWatch, int | None]:
            with OutboundWatch(policy) as watch:
                try:
                    return watch, requests.get(server.url, timeout=5).status_code
                except requests.ConnectionError:
                    return watch, None

        watch, status = await asyncio.to_thread(call, OPEN)
        assert (status, server.paths) == (None, ["/"])
        assert "redirects are not followed" in watch.refusals[0]
        watch, status = await asyncio.to_thread(call, OutboundPolicy(True, allow_redirects=True))
        assert (status, server.paths) == (200, ["/", "/", "/there"])


def test_a_watch_lets_no_program_start() -> None:
    import subprocess

    with OutboundWatch(CLOSED) as watch, pytest.raises(OSError, match="cannot be watched"):
        subprocess.run([sys.executable, "-c", ""], check=False)
    assert watch.refusals
    assert subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0
