"""The upstream pool against a real server: framing, reuse, back-pressure, and every way a server can fail."""

from __future__ import annotations

import asyncio
import ssl
import subprocess

import pytest
import uvloop

from regraft.domain.errors import ConfigError, UpstreamError
from regraft.infra.llm.upstream import BODY_HIGH_WATER, UpstreamPool
from support.scripted_upstream import Pause, Script, ScriptedUpstream, chunked, plain


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as runner:
        yield runner.run


def scripted(run, answer, use, **options):
    """Run ``use(pool, server)`` against a server that answers by ``answer``."""

    async def main():
        async with ScriptedUpstream(answer) as server:
            pool = UpstreamPool(server.base_url, **options)
            try:
                return await use(pool, server)
            finally:
                await pool.aclose()

    return run(main())


OK = plain(200, b'{"ok":true}')


@pytest.mark.parametrize(
    ("script", "status", "body"),
    [
        (OK, 200, b'{"ok":true}'),
        (chunked(200, [b"one", b"two", b"three"]), 200, b"onetwothree"),
        (Script((b"HTTP/1.1 200 OK\r\n\r\nuntil ", Pause(0.01), b"close"), "close"), 200, b"until close"),
        (Script((b"HTTP/1.0 200 OK\r\n\r\nold",), "close"), 200, b"old"),
        (Script((b"HTTP/1.1 204 No Content\r\n\r\n",)), 204, b""),
        (Script((b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n",)), 304, b""),
        (Script((b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",)), 200, b""),
        (Script((b"HTTP/1.1 100 Continue\r\n\r\n", Pause(0.01), OK.steps[0])), 200, b'{"ok":true}'),
        (
            Script((b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",)),
            200,
            b"ok",
        ),
        (
            Script(
                (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",)
            ),
            200,
            b"ok",
        ),
        (
            Script((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n",)),
            200,
            b"ok",
        ),
        (
            Script(tuple(bytes([byte]) for byte in chunked(200, [b"slow", b"ly"]).steps[0] + b"1\r\na\r\n0\r\n\r\n")),
            200,
            b"a",
        ),
        (plain(500, b"<html>oops"), 500, b"<html>oops"),
    ],
)
def test_every_framing_is_read_and_the_next_call_works(run, script, status, body):
    async def use(pool, server):
        for _ in range(3):
            response = await pool.send("POST", "/chat/completions?x=1", [(b"x-a", b"1")], b"{}")
            assert (response.status, await response.read(), response.complete) == (status, body, True)
            assert not any(name.lower() in (b"link", b"x-trailer") for name, _ in response.headers)
        assert server.connections == (3 if script.then == "close" else 1)
        assert server.seen[0].path == "/v1/chat/completions?x=1"
        assert server.seen[0].header("host") == f"localhost:{server.port}"
        assert server.seen[0].body == b"{}"

    scripted(run, lambda seen: script, use)


def test_a_head_request_does_not_wait_for_a_body(run):
    async def use(pool, server):
        response = await pool.send("HEAD", "/models", [], b"")
        assert response.status == 200
        assert await response.read() == b""
        assert (await (await pool.send("GET", "/models", [], b"")).read()) == b'{"ok":true}'

    head = Script((b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n",))
    scripted(run, lambda seen: head if seen.method == "HEAD" else OK, use)


def test_chunks_come_as_they_are_sent(run):
    async def use(pool, server):
        response = await pool.send("POST", "/x", [], b"")
        assert [chunk async for chunk in response] == [b"a", b"b", b"c"]

    scripted(run, lambda seen: chunked(200, [b"a", b"b", b"c"], pause=0.03), use)


def test_a_stale_connection_is_replaced_once_and_silently(run):
    async def use(pool, server):
        assert (await pool.send("POST", "/first", [], b"1")).complete
        response = await pool.send("POST", "/second", [], b"2")
        assert await response.read() == b'{"ok":true}'
        assert [seen.path for seen in server.seen] == ["/v1/first", "/v1/second", "/v1/second"]

    def answer(seen):
        return Script((), "close") if (seen.path, seen.connection) == ("/v1/second", 1) else OK

    scripted(run, answer, use)


def test_a_fresh_connection_that_closes_is_an_error_not_a_retry(run):
    async def use(pool, server):
        with pytest.raises(UpstreamError, match=rf"^localhost:{server.port} closed the connection before answering$"):
            await pool.send("POST", "/x", [], b"")
        assert len(server.seen) == 1

    scripted(run, lambda seen: Script((), "close"), use)


def test_a_reused_connection_that_began_to_answer_is_not_retried(run):
    async def use(pool, server):
        await pool.send("POST", "/first", [], b"")
        with pytest.raises(UpstreamError, match="in the head of its answer"):
            await pool.send("POST", "/second", [], b"")
        assert len(server.seen) == 2

    scripted(run, lambda seen: OK if seen.path == "/v1/first" else Script((b"HTTP/1.1 200 O",), "close"), use)


@pytest.mark.parametrize(
    "script",
    [
        chunked(200, [b"a", b"b"], end=False, then="close"),
        chunked(200, [b"a", b"b"], end=False, then="reset"),
        Script((b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab",), "close"),
        Script((b"HTTP/1.1 200 OK\r\n\r\nab", Pause(0.05)), "reset"),
    ],
)
def test_a_cut_body_raises_after_what_came(run, script):
    async def use(pool, server):
        response = await pool.send("POST", "/x", [], b"")
        got = []

        async def collect():
            async for chunk in response:
                got.append(chunk)

        with pytest.raises(UpstreamError, match="cut its answer"):
            await collect()
        assert b"ab".startswith(b"".join(got))
        assert not response.complete

    scripted(run, lambda seen: script, use)


def test_nonsense_and_protocol_switches_are_errors(run):
    async def use(pool, server):
        for _ in range(2):
            with pytest.raises(UpstreamError, match=r"did not answer in HTTP|switched protocols"):
                await pool.send("POST", "/x", [], b"")

    answers = iter([b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"])
    scripted(run, lambda seen: Script((next(answers),)), use)


def test_bytes_behind_an_answer_spoil_the_connection(run):
    async def use(pool, server):
        assert await (await pool.send("POST", "/x", [], b"")).read() == b"ok"
        assert await (await pool.send("POST", "/x", [], b"")).read() == b"ok"
        assert server.connections == 2

    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    scripted(run, lambda seen: Script((ok + ok,)), use)


def test_silence_ends_in_a_timeout(run):
    async def use(pool, server):
        with pytest.raises(UpstreamError, match=r"sent nothing for 0\.2 s"):
            await pool.send("POST", "/x", [], b"")
        response = await pool.send("POST", "/body", [], b"")
        with pytest.raises(UpstreamError, match=r"sent nothing for 0\.2 s"):
            await response.read()

    def answer(seen):
        return Script((b"HTTP/1.1 200 OK\r\n\r\npart" if seen.path == "/v1/body" else b"", Pause(2)))

    scripted(run, answer, use, read_timeout=0.2)


def test_nobody_there_is_one_clear_line(run):
    async def main():
        pool = UpstreamPool("http://127.0.0.1:9/v1", connect_timeout=1)
        with pytest.raises(UpstreamError, match=r"^127\.0\.0\.1:9 cannot be reached: ") as caught:
            await pool.send("POST", "/x", [], b"")
        assert "\n" not in str(caught.value)
        await pool.aclose()
        pool = UpstreamPool("http://does-not-exist.invalid/v1")
        with pytest.raises(UpstreamError, match=r"^does-not-exist\.invalid:80 cannot be reached: "):
            await pool.send("POST", "/x", [], b"")
        await pool.aclose()

    run(main())


def test_a_slow_consumer_stops_the_server(run):
    size = 64 << 20

    async def use(pool, server):
        response = await pool.send("POST", "/x", [], b"")
        await asyncio.sleep(0.3)
        waiting = len(response.take())
        assert BODY_HIGH_WATER < waiting < BODY_HIGH_WATER * 4
        assert waiting + len(await response.read()) == size

    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
    scripted(run, lambda seen: Script((head, bytes(size))), use)


def test_giving_up_drops_the_connection(run):
    async def use(pool, server):
        response = await pool.send("POST", "/x", [], b"")
        await response.next_chunk()
        await response.aclose()
        waiting = asyncio.create_task(pool.send("POST", "/never", [], b""))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0.1)
        assert server.dropped == 2
        assert not pool._busy

    def answer(seen):
        return Script((Pause(5),)) if seen.path == "/v1/never" else chunked(200, [b"x"] * 100, pause=0.05)

    scripted(run, answer, use)


def test_many_calls_at_once_share_few_connections(run):
    async def use(pool, server):
        async def one(number):
            response = await pool.send("POST", f"/{number}", [], b"x" * number)
            assert await response.read() == f"/v1/{number}".encode()

        await asyncio.gather(*(one(number) for number in range(100)))
        await asyncio.gather(*(one(number) for number in range(100)))
        assert len(pool._idle) <= 8

    scripted(run, lambda seen: plain(200, seen.path.encode()), use, max_idle=8)


def test_a_line_break_in_a_header_is_never_sent(run):
    async def use(pool, server):
        with pytest.raises(UpstreamError, match="line break"):
            await pool.send("POST", "/x", [(b"x-a", b"1\r\nx-evil: 2")], b"")
        assert server.seen == []

    scripted(run, lambda seen: OK, use)


def test_tls_is_verified_and_works(run, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)

    async def main():
        async with ScriptedUpstream(lambda seen: OK, tls=serving) as server:
            trusting = UpstreamPool(server.base_url, tls=ssl.create_default_context(cafile=certificate))
            for _ in range(2):
                assert await (await trusting.send("POST", "/x", [], b"{}")).read() == b'{"ok":true}'
            assert server.connections == 1
            await trusting.aclose()
            careful = UpstreamPool(server.base_url)
            with pytest.raises(UpstreamError, match=r"(?i)certificate verify failed"):
                await careful.send("POST", "/x", [], b"{}")
            await careful.aclose()

    run(main())


@pytest.mark.parametrize("url", ["localhost:1234", "ftp://x/v1", "http://", "http://x:notaport/v1"])
def test_a_bad_base_url_is_a_configuration_error(url):
    with pytest.raises(ConfigError, match="base_url"):
        UpstreamPool(url)
