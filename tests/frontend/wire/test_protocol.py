"""The connection against PostgreSQL's own behaviour, byte by byte.

Goal: the same bytes get the same answer from us and from PostgreSQL: well-formed, malformed, out of order, at start-up and
afterwards. Method: each scenario is sent to both; the transcripts must be equal, but for key data and the texts that
carry values of the server. What PostgreSQL has no answer to compare with (limits, back-pressure, drain) is tested from first
principles below.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from frontend.wire import messages
from frontend.wire.authentication import AccessRule
from frontend.wire.limits import WireLimits
from frontend.wire.messages import message
from tests.frontend.wire.serving import (
    RawClient,
    Served,
    closing_raw,
    error_fields,
    kinds,
    startup_packet,
    startup_packet_of,
)
from tests.frontend.wire.trivial_session import TrivialSession, live_sessions
from tests.oracle import Oracle

Q = message(b"Q", b"select 1\0")
SYNC = message(b"S", b"")
FLUSH = message(b"H", b"")
PARSE = message(b"P", b"\0select 1\0\0\0")
PARSE_ONE = message(b"P", b"\0select $1::text\0\0\0")
PARSE_NAMED = message(b"P", b"s\0select 1\0\0\0")
BIND = message(b"B", b"\0\0" + bytes(6))
DESCRIBE = message(b"D", b"P\0")
EXECUTE = message(b"E", b"\0\0\0\0\0")


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with Served(use_uvloop=request.param == "uvloop") as server:
        yield server


Transcript = list[tuple[str, object]]


def transcript(client: RawClient, end: bool) -> Transcript:
    """What came back, in comparable form: up to ReadyForQuery, or (with `end`) to the end of the stream."""
    result: Transcript = []
    while (received := client.read()) is not None:
        kind, body = received
        if kind == b"E":
            fields = error_fields(body)
            result.append(("E", tuple(fields.get(code) for code in "SVCMDH")))
        elif kind in (b"K", b"S"):
            pass
        else:
            result.append((kind.decode(), body))
        if kind == b"Z" and not end:
            break
    else:
        result.append(("end", None))
    return result


SCENARIOS = {
    "simple": [Q],
    "empty": [message(b"Q", b"\0")],
    "only_semicolons": [message(b"Q", b" ; ;\0")],
    "query_without_terminator": [message(b"Q", b"select 1")],
    "query_with_more": [message(b"Q", b"select 1\0x\0")],
    "query_of_nothing": [message(b"Q", b"")],
    "query_not_utf8": [message(b"Q", b"select '\xc3(' \0")],
    "query_cut_utf8": [message(b"Q", b"select '\xe2\x82\0")],
    "query_surrogate": [message(b"Q", b"select '\xed\xa0\x80'\0")],
    "two_queries_in_one_packet": [Q, Q],
    "extended": [PARSE, BIND, DESCRIBE, EXECUTE, SYNC],
    "extended_described_statement": [PARSE_NAMED, message(b"D", b"Ss\0"), SYNC],
    "flush_flushes": [PARSE, FLUSH, SYNC],
    "close_what_is_not_there": [message(b"C", b"Snone\0"), message(b"C", b"Pnone\0"), SYNC],
    "skip_until_sync": [message(b"D", b"Pnone\0"), PARSE, BIND, EXECUTE, Q, FLUSH, SYNC, Q],
    "missing_statement": [message(b"B", b"\0none\0" + bytes(6)), SYNC],
    "missing_portal": [message(b"E", b"none\0\0\0\0\0"), SYNC],
    "describe_bad_subtype": [message(b"D", b"X\0"), SYNC],
    "close_bad_subtype": [message(b"C", b"X\0"), SYNC],
    "describe_of_nothing": [message(b"D", b""), SYNC],
    "describe_without_terminator": [message(b"D", b"Pxx"), SYNC],
    "bind_too_short": [PARSE, message(b"B", b"\0\0\0"), SYNC],
    "bind_without_terminator": [PARSE, message(b"B", b"abc"), SYNC],
    "bind_formats_mismatch": [PARSE, message(b"B", b"\0\0" + struct.pack("!HhhH", 2, 0, 0, 0) + b"\0\0"), SYNC],
    "bind_value_too_long": [PARSE_ONE, message(b"B", b"\0\0" + struct.pack("!HHi", 0, 1, 9) + b"ab\0\0"), SYNC],
    "bind_negative_length": [PARSE_ONE, message(b"B", b"\0\0" + struct.pack("!HHi", 0, 1, -2) + b"\0\0"), SYNC],
    "bind_with_more": [PARSE, message(b"B", b"\0\0" + bytes(7)), SYNC],
    "execute_too_short": [PARSE, BIND, message(b"E", b"\0\0"), SYNC],
    "execute_with_more": [PARSE, BIND, message(b"E", b"\0\0\0\0\0\0"), SYNC],
    "execute_negative_count": [PARSE, BIND, message(b"E", b"\0\xff\xff\xff\xff"), SYNC],
    "parse_too_short": [message(b"P", b"\0select 1\0"), SYNC],
    "parse_types_missing": [message(b"P", b"\0select 1\0\0\2\0\0\0\0"), SYNC],
    "parse_not_utf8": [message(b"P", b"\0select \xff\0\0\0"), SYNC],
    "sync_with_body": [message(b"S", b"x")],
    "flush_with_body": [message(b"H", b"x"), SYNC],
    "late_copy_messages": [message(b"d", b"abc"), message(b"c", b""), message(b"f", b"x\0"), Q],
    "copy_messages_while_skipping": [message(b"D", b"Pnone\0"), message(b"d", b"abc"), message(b"c", b""), SYNC],
    "terminate": [message(b"X", b"")],
    "terminate_while_skipping": [message(b"D", b"Pnone\0"), message(b"X", b"")],
    "unknown_type": [message(b"z", b"")],
    "unknown_type_while_skipping": [message(b"D", b"Pnone\0"), message(b"z", b"")],
    "zero_type": [b"\0\0\0\0\4"],
}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("cut", ["whole", "bytes"])
def test_same_as_postgresql(served: Served, oracle: Oracle, name: str, cut: str) -> None:
    data = b"".join(SCENARIOS[name])
    transcripts = []
    for address in (f"{oracle.directory}/.s.PGSQL.5432", ("127.0.0.1", served.port)):
        with closing_raw(RawClient.to(address)) as client:
            client.start()
            if cut == "whole" or isinstance(address, str):
                client.send(data)
            else:
                client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with suppress(OSError):  # a FATAL answer may come before we are through
                    for byte in data:
                        client.send(bytes((byte,)))
            with suppress(OSError):
                client.send(message(b"X", b""))
            transcripts.append(transcript(client, end=True))
    assert transcripts[1] == transcripts[0]


USER = "user\0postgres\0"


def packet(code: int, body: bytes) -> bytes:
    return struct.pack("!II", len(body) + 8, code) + body


STARTUPS = {
    "normal": startup_packet(user="postgres", database="postgres"),
    "database_defaults_to_user": startup_packet(user="postgres"),
    "protocol_4": packet(4 << 16, b"user\0postgres\0\0"),
    "protocol_0": packet(0, b""),
    "no_user": startup_packet(database="postgres"),
    "empty_user": startup_packet(user=""),
    "no_terminator": packet(196608, b"user\0postgres\0"),
    "no_value": packet(196608, b"user\0postgres\0database\0"),
    "more_after_terminator": packet(196608, b"user\0postgres\0\0x\0"),
    "nothing": packet(196608, b""),
    "too_short": struct.pack("!I", 7) + b"abc",
    "length_zero": bytes(8),
    "too_long": struct.pack("!II", 10_005, 196608) + bytes(9997),
    "not_too_long": struct.pack("!II", 10_004, 196608) + b"user\0postgres\0".ljust(9996, b"\0"),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "options": startup_packet(user="postgres", database="postgres", options="-c statement_timeout=5 --work-mem=1MB"),
    "minor_2": startup_packet(196610, user="postgres", database="postgres"),
    "minor_2_options": startup_packet_of(196610, {"user": "postgres", "database": "postgres", "_pq_.a": "1"}),
    "protocol_option": startup_packet_of(
        196608, {"user": "postgres", "database": "postgres", "_pq_.some": "1", "_pq_.b": "2"}
    ),
    "replication_wrong": startup_packet(user="postgres", replication="perhaps"),
    "gss": packet(messages.GSSENC_REQUEST, b"") + startup_packet(user="postgres"),
    "ssl": packet(messages.SSL_REQUEST, b"") + startup_packet(user="postgres"),
    "gss_ssl": packet(messages.GSSENC_REQUEST, b"")
    + packet(messages.SSL_REQUEST, b"")
    + startup_packet(user="postgres"),
    "ssl_twice": packet(messages.SSL_REQUEST, b"") * 2,
    "cancel_unknown": packet(messages.CANCEL_REQUEST, struct.pack("!II", 12345678, 1)),
    "cancel_short": packet(messages.CANCEL_REQUEST, b"\0\0"),
}


@pytest.mark.parametrize("name", STARTUPS)
def test_startup_same_as_postgresql(served: Served, oracle: Oracle, name: str) -> None:
    answers = []
    for address in (f"{oracle.directory}/.s.PGSQL.5432", ("127.0.0.1", served.port)):
        with closing_raw(RawClient.to(address)) as client:
            client.send(STARTUPS[name])
            client.send(message(b"X", b""))
            single = client.read_exactly(1) if name.startswith(("gss", "ssl")) else None
            answers.append((single, transcript(client, end=True)))
    assert answers[1] == answers[0]


@pytest.mark.parametrize(
    "requests", ["ssl", "gss", "gss ssl", "ssl gss", "ssl ssl", "gss gss", "gss ssl gss", "ssl gss ssl"]
)
def test_encryption_requests_same_as_postgresql(served: Served, oracle: Oracle, requests: str) -> None:
    answers: list[tuple[list[bytes | None], object]] = []
    codes = {"ssl": messages.SSL_REQUEST, "gss": messages.GSSENC_REQUEST}
    for address in (f"{oracle.directory}/.s.PGSQL.5432", ("127.0.0.1", served.port)):
        with closing_raw(RawClient.to(address)) as client:
            single = []
            for request in requests.split():
                client.send(packet(codes[request], b""))
                single.append(client.read_exactly(1))
            if single[-1] == b"N":
                client.send(startup_packet(user="postgres"))
                answers.append((single, kinds(client.read_until_ready()).replace("S", "")))
            else:
                client.buffer = b"E" + client.buffer
                answers.append((single, transcript(client, end=True)))
    assert answers[1] == answers[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("rubbish", "invalid command-line argument for server process: rubbish"),
        ("-c statement_timeout", "-c statement_timeout requires a value"),
        ("--x", "--x requires a value"),
    ],
)
def test_options_refused(served: Served, options: str, text: str) -> None:
    with closing_raw(RawClient.to(("127.0.0.1", served.port))) as client:
        received = client.start(options=options)
        fields = error_fields(received[-1][1])
        assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "42601", text)


def test_protocol_2_is_refused(served: Served) -> None:
    with closing_raw(RawClient.to(("127.0.0.1", served.port))) as client:
        received = client.start(2 << 16)
        assert error_fields(received[0][1])["M"] == "unsupported frontend protocol 2.0: server supports 3.0 to 3.0"


def test_ready_for_query_and_key(served: Served) -> None:
    with closing_raw(RawClient.to(("127.0.0.1", served.port))) as client:
        received = client.start(application_name="x")
        assert kinds(received) == "R" + "S" * 13 + "KZ"
        process_id, _ = struct.unpack("!II", dict(received)[b"K"])
        assert process_id > 0


# --- the session contract -----------------------------------------------------------------------------------------


def test_suspended_messages_keep_their_order(served: Served) -> None:
    with closing_raw(served.raw()) as client:
        client.send(
            message(b"Q", b"later 5; begin\0"), Q, message(b"Q", b"later fail\0"), Q, message(b"Q", b"rollback\0")
        )
        received = client.read_until_ready(5)
        assert kinds(received) == "TDCCZ" + "TDCZ" + "EZ" + "TDCZ" + "CZ"
        assert [body for kind, body in received if kind == b"Z"] == [b"T", b"T", b"E", b"E", b"I"]


def test_resume_before_the_method_returns(served: Served) -> None:
    with closing_raw(served.raw()) as client:
        assert kinds(client.query("now")) == "TDCZ"
        assert kinds(client.query("select 1")) == "TDCZ"


def test_copy_modes(served: Served) -> None:
    begin = message(b"Q", b"copy in; select 1\0")
    data, done = message(b"d", b"abc"), message(b"c", b"")
    with closing_raw(served.raw()) as client:
        client.send(begin, data, FLUSH, SYNC, data, done)
        received = client.read_until_ready()
        assert kinds(received) == "GCTDCZ"
        assert received[1][1] == b"COPY 6\0"
        client.send(begin, data, message(b"f", b"because\0"), data, done)
        received = client.read_until_ready()
        assert kinds(received) == "GEZ"
        assert error_fields(received[1][1])["M"] == "COPY from stdin failed: because"
        client.send(begin, message(b"d", b"bad"), data, done, Q)
        assert kinds(client.read_until_ready(2)) == "GEZTDCZ"
        client.send(begin, Q)
        received = client.read_until_ready()
        assert kinds(received) == "GEZ"
        assert error_fields(received[1][1])["M"] == "unexpected message type 0x51 during COPY from stdin"
        # Extended: the error waits for Sync, and everything before it is dropped.
        parse = message(b"P", b"\0copy in\0\0\0")
        client.send(parse, BIND, EXECUTE, SYNC, data, message(b"d", b"bad"), data, done, SYNC)
        assert kinds(client.read_until_ready()) == "12GEZ"
        client.send(parse, BIND, EXECUTE, SYNC, data, done, SYNC)
        assert kinds(client.read_until_ready()) == "12GCZ"


def test_cancel_while_waiting_for_copy_data(served: Served) -> None:
    with closing_raw(RawClient.to(("127.0.0.1", served.port))) as client:
        key = dict(client.start())[b"K"]
        client.send(message(b"Q", b"copy in\0"))
        assert client.read() is not None
        for wrong in (key[:7] + bytes((key[7] ^ 1,)), b"\x40" + key[1:]):
            with closing_raw(RawClient.to(("127.0.0.1", served.port))) as other:
                other.send(packet(messages.CANCEL_REQUEST, wrong))
                assert other.at_end()
        with closing_raw(RawClient.to(("127.0.0.1", served.port))) as other:
            other.send(packet(messages.CANCEL_REQUEST, key))
            assert other.at_end()
        received = client.read_until_ready()
        assert kinds(received) == "EZ"
        assert error_fields(received[0][1])["C"] == "57014"


def test_function_call_is_refused(served: Served) -> None:
    with closing_raw(served.raw()) as client:
        client.send(message(b"F", bytes(10)), Q)
        received = client.read_until_ready(2)
        assert kinds(received) == "EZTDCZ"
        assert error_fields(received[0][1])["C"] == "0A000"


def test_lengths(served: Served) -> None:
    for head, text in (
        (b"Q\0\0\0\3", "invalid message length"),
        (b"Q\0\0\0\0", "invalid message length"),
        (b"Q\xff\xff\xff\xff", "invalid message length"),
        (b"S\0\1\0\0", "invalid message length"),
        (b"Q\x10\0\0\0", "message of 268435456 bytes is longer than the limit of 67108864 bytes"),
    ):
        with closing_raw(served.raw()) as client:
            client.send(Q, head)
            received = client.read_until_ready(2)
            assert kinds(received) == "TDCZE"
            fields = error_fields(received[-1][1])
            assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "08P01", text)


# --- bounds -------------------------------------------------------------------------------------------------------


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 5
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_client_that_does_not_read_stops_its_session() -> None:
    with Served() as served, closing_raw(served.raw()) as client, closing_raw(served.raw()) as other:
        client.send(message(b"Q", b"big 20000\0"))
        wait_for(lambda: any(session.rows_left and "pause" in session.log for session in live_sessions))
        (session,) = (session for session in live_sessions if session.rows_left)
        left = session.rows_left
        assert left > 5000
        assert kinds(other.query("select 1")) == "TDCZ"
        assert session.rows_left == left
        received = client.read_until_ready()
        assert kinds(received) == "T" + "D" * 20000 + "CZ"


def test_a_client_that_sends_ahead_is_not_read_without_bound() -> None:
    limits = WireLimits(pipeline_bytes_max=10_000)
    with Served(limits=limits) as served, closing_raw(served.raw()) as client:
        client.socket.settimeout(0.3)
        client.send(message(b"Q", b"later 1000\0"))
        with pytest.raises(TimeoutError):
            client.send(Q * 5_000_000)
        (connection,) = served.listener.connections
        assert connection._buffered < 1_000_000
        client.close()


def test_pipelined_replies_nobody_reads_hold_the_connection() -> None:
    with Served() as served, closing_raw(served.raw()) as client, closing_raw(served.raw()) as other:
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.send(message(b"Q", b"big 1\0") * 4_000_000)
        assert kinds(other.query("select 1")) == "TDCZ"
        client.close()


def test_unauthenticated_connections_are_bounded_in_number_and_time() -> None:
    rules = [AccessRule("host", "all", "all", "scram-sha-256")]
    limits = WireLimits(authenticating_count_max=3, authentication_seconds_max=0.4)
    with Served(limits=limits, rules=rules) as served:
        silent = [RawClient.to(("127.0.0.1", served.port)) for _ in range(3)]
        wait_for(lambda: len(served.listener._starting) == 3)
        with closing_raw(RawClient.to(("127.0.0.1", served.port))) as fourth:
            received = fourth.read()
            assert received is not None
            assert error_fields(received[1])["C"] == "53300"
        silent[1].send(startup_packet(user="postgres"))
        assert silent[0].at_end()
        assert kinds([silent[1].read() or (b"", b"")]) == "R"
        received = silent[1].read()
        assert received is not None
        assert error_fields(received[1])["M"] == "canceling authentication due to timeout"
        wait_for(lambda: not served.listener._starting)
        for client in silent:
            client.close()


def test_sasl_messages_out_of_place() -> None:
    with Served(rules=[AccessRule("host", "all", "all", "scram-sha-256")]) as served:
        for bad, state in (
            (Q, "08P01"),
            (message(b"p", b"SCRAM-SHA-1\0" + struct.pack("!i", -1)), "08P01"),
            (message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 9) + b"n,,n=,r="), "08P01"),
            (message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 6) + b"n,,n=,"), "08P01"),
            (message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 8) + b"n,,n=,r="), "08P01"),
            (message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 14) + b"n,a=joe,n=,r=x"), "0A000"),
            (message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 8) + b"p=x,,n=,"), "08P01"),
            (b"p\x7f\xff\xff\xff", "08P01"),
        ):
            with closing_raw(RawClient.to(("127.0.0.1", served.port))) as client:
                client.send(startup_packet(user="postgres"))
                assert client.read() == (b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")
                client.send(bad)
                received = client.read()
                assert received is not None
                assert error_fields(received[1])["C"] == state
                assert client.at_end()


def test_drain() -> None:
    with Served() as served:
        idle, busy, open_transaction = served.raw(), served.raw(), served.raw()
        open_transaction.query("begin")
        busy.send(message(b"Q", b"later 300\0"))
        time.sleep(0.05)
        interrupted = served.run(served.listener.drain(0.8))
        assert interrupted == 1
        assert kinds(idle.read_until_ready()) == "E"
        assert kinds(busy.read_until_ready(2)) == "TDCZE"
        received = open_transaction.read_until_ready()
        assert error_fields(received[0][1])["C"] == "57P01"
        with pytest.raises(OSError):
            RawClient.to(("127.0.0.1", served.port)).start()
        for client in (idle, busy, open_transaction):
            client.close()


def test_a_transaction_may_end_during_drain() -> None:
    with Served() as served, closing_raw(served.raw()) as client:
        client.query("begin")
        (connection,) = served.listener.connections
        served.call(connection.drain)
        assert kinds(client.query("select 1")) == "TDCZ"
        client.send(message(b"Q", b"commit\0"))
        assert kinds(client.read_until_ready(2)) == "CZE"


def test_what_was_sent_before_hanging_up_is_still_done(served: Served) -> None:
    with closing_raw(served.raw()) as client:
        before = {session: len(session.log) for session in live_sessions}
        client.send(message(b"Q", b"later 50\0"), SYNC, SYNC)
        client.socket.shutdown(socket.SHUT_WR)
        assert kinds(client.read_until_ready(3)) == "TDCZZZ"
        assert client.at_end()
        assert any(len(session.log) - count == 2 for session, count in before.items())


def test_idle_and_batches(served: Served) -> None:
    seen: list[tuple[bool, int]] = []

    class Watching(TrivialSession):
        def query(self, sql: str) -> None:
            connection = self.connection
            seen.append((connection.idle, connection.batches))
            connection.loop.call_later(0.05, lambda: seen.append((connection.idle, connection.batches)))
            super().query(sql)

    with Served(factory=Watching) as own, closing_raw(own.raw()) as client:
        client.query("select 1")
        time.sleep(0.2)
        assert seen[0][0] is False
        assert seen[1] == (True, seen[0][1])
