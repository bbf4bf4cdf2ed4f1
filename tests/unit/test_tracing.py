import itertools
import time
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from infra import metrics, tracing
from infra.embedded.ports import free_ports
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.record_batches import RawRecords, read_records, split_batches
from infra.kafka.record_headers import find_header
from infra.settings import TracingSettings
from infra.tracing import Kind, SampledRecords, Span, SpanContext
from infra.tracing.span import request_of
from infra.tracing.tracer import SPANS_A_BATCH, Tracer
from schemas.spans import Spans
from tests.trace_collector import collecting, spans_of

PARENT = SpanContext(bytes(range(16)), bytes(range(8)))
NAMED = b"00-000102030405060708090a0b0c0d0e0f-0001020304050607-01"


def settings(endpoint: str, **given: Any) -> TracingSettings:
    return TracingSettings(sample=1.0, most_per_s=10**6, endpoint=endpoint, timeout_s=0.5, **given)


def span(name: str = "parse binance", number: int = 1) -> Span:
    context = PARENT.child(f"{name} {number}")
    return Span(name, context, PARENT.span_id, 1_000, 2_000, Kind.CONSUMER, {"n": number, "text": "ü"})


def dropped(reason: str) -> float:
    return float(metrics.tracing.SPANS_DROPPED.labels(reason)._value.get())


def batch(headers: list[list[tuple[str, bytes | None]]]) -> RawRecords:
    def encoded(pairs: list[tuple[str, bytes | None]]) -> bytes:
        parts = [bytes((len(pairs) << 1,))]
        for name, value in pairs:
            raw = b"\x01" if value is None else bytes((len(value) << 1,)) + value
            parts += [bytes((len(name) << 1,)), name.encode(), raw]
        return b"".join(parts)

    values = Spans.of([b"v"] * len(headers))
    outgoing = OutgoingRecords(values, values, Spans.of([encoded(pairs) for pairs in headers]))
    (packed,) = outgoing.batches()
    return read_records(split_batches(packed._build()))


def test_a_context_is_written_and_read_as_the_header_of_w3c() -> None:
    assert PARENT.traceparent.encode() == NAMED
    assert SpanContext.read(NAMED) == PARENT
    assert SpanContext.read(NAMED[:-1] + b"0") == PARENT._replace(sampled=False)
    # A version to come may say more.
    assert SpanContext.read(b"cc" + NAMED[2:] + b"-more") == PARENT


@pytest.mark.parametrize(
    "header",
    [
        *(None, b"", b"00", NAMED + b"-more", b"ff" + NAMED[2:], NAMED.upper(), b" " + NAMED),
        b"00-" + b"0" * 32 + NAMED[35:],
        NAMED[:36] + b"0" * 16 + NAMED[52:],
    ],
)
def test_what_is_no_valid_header_begins_a_trace_of_its_own(header: bytes | None) -> None:
    assert SpanContext.read(header) is None
    assert tracing.root_of(header).trace_id != PARENT.trace_id


def test_ids_that_follow_from_what_a_span_is_about_come_again_and_differ_from_others() -> None:
    assert PARENT.child("candle") == PARENT.child("candle")
    others = [PARENT.child("candle"), PARENT.child("row"), PARENT.fresh().child("candle"), PARENT]
    assert len({context.span_id for context in others}) == len(others)
    assert {context.trace_id for context in others} == {PARENT.trace_id}


def test_opentelemetry_reads_the_spans_that_are_written() -> None:
    root = Span("receive", PARENT, b"", 1, 2, error="the venue said no")
    many = Span("big", PARENT.child("x"), PARENT.span_id, 0, 2**63, attributes={"n": -5, "m": 2**40})
    first, second, third = spans_of(request_of({"service.name": "s"}, ("kandle", "1"), [span(), root, many]))
    assert (first.name, first.service, first.kind) == ("parse binance", "s", Kind.CONSUMER)
    assert (first.trace_id, first.parent_id) == (PARENT.trace_id.hex(), PARENT.span_id.hex())
    assert (first.start_ns, first.end_ns, first.attributes) == (1_000, 2_000, {"n": 1, "text": "ü"})
    assert (second.parent_id, second.error, first.error) == ("", "the venue said no", "")
    assert (third.end_ns, third.attributes) == (2**63, {"n": -5, "m": 2**40})


def test_headers_are_found_wherever_they_stand_and_only_whole_names() -> None:
    other: list[tuple[str, bytes | None]] = [("h", b"1"), ("traceparent2", NAMED)]
    records = batch(
        [[], [("traceparent", NAMED)], [], other, [*other, ("traceparent", NAMED)], [("traceparent", None)]]
    )
    found = find_header(records, b"traceparent")
    assert found.rows.tolist() == [1, 4]
    assert [found.values.value(index) for index in range(2)] == [NAMED, NAMED]
    assert not len(find_header(batch([[], []]), b"traceparent"))


def test_broken_headers_of_a_batch_are_passed_over() -> None:
    records = batch([[("traceparent", NAMED)]])
    for cut in range(int(records.header_end[0] - records.header_start[0])):
        ends = records.header_start + cut
        columns = {name: getattr(records, name) for name in RawRecords.__dataclass_fields__}
        assert not len(find_header(RawRecords(**columns | {"header_end": ends}), b"traceparent"))


def test_a_share_of_frames_is_chosen_however_they_are_cut_into_portions() -> None:
    with collecting() as collector:
        tracer = Tracer(settings(collector.endpoint).model_copy(update={"sample": 0.01}), "produce")
        sizes = itertools.cycle((1, 3, 700, 20))
        cuts = list(itertools.takewhile(lambda size: size, (next(sizes) for _ in range(2_000))))
        chosen = [number for size in cuts for number in tracer.choose(size) if 0 <= number < size]
        tracer.close()
        always = Tracer(settings(collector.endpoint), "produce")
        assert list(always.choose(3)) == [0, 1, 2]
        always.close()
        few = Tracer(settings(collector.endpoint).model_copy(update={"most_per_s": 5}), "produce")
        assert sum(len(few.choose(100)) for _ in range(10)) in (5, 10)  # a second may end meanwhile
        few.close()
    assert len(chosen) / sum(cuts) == pytest.approx(0.01, rel=0.15)


def test_a_backlog_has_spans_of_the_same_traces_wherever_it_is_read() -> None:
    roots = [SpanContext.root() for _ in range(50)]
    chosen = sorted(roots)[:SPANS_A_BATCH]
    headers: list[list[tuple[str, bytes | None]]] = [
        [("traceparent", root.traceparent.encode())] for root in roots
    ]
    records = batch([*headers, [("traceparent", NAMED[:-1] + b"0")], [("traceparent", b"short")], []])
    before = dropped("batch")
    with collecting() as collector:
        tracer = Tracer(settings(collector.endpoint), "process")
        tracer.put_batch("process", records, ("market.trades.v1", 3), 5, "trades", {"kandle.batch": 7})
        tracer.put_batch("process", batch(headers[:1]), ("market.trades.v1", 3), 5, "trades", {})
        tracer.close()
    assert dropped("batch") - before == 52 - SPANS_A_BATCH
    *found, alone = collector.spans
    assert {one.trace_id for one in found} <= {root.trace_id.hex() for root in chosen}
    assert len(found) >= SPANS_A_BATCH - 1  # one that is not sampled may be among the lowest
    assert (alone.name, alone.parent_id) == ("process market.trades.v1", roots[0].span_id.hex())
    assert alone.span_id == roots[0].child("trades").span_id.hex()
    assert alone.attributes["messaging.kafka.offset"] == 0
    assert alone.attributes["messaging.destination.partition.id"] == "3"


def test_records_of_one_publishing_span_have_spans_of_their_own_in_a_sink() -> None:
    header: list[tuple[str, bytes | None]] = [("traceparent", PARENT.traceparent.encode())]
    records = batch([header, header])
    with collecting() as collector:
        tracer = Tracer(settings(collector.endpoint), "sink")
        for topic in ("market.signals.v1", "market.indicators.v1"):
            tracer.put_batch("store", records, (topic, 0), 5, "sink timescale", {}, by_place=True)
        tracer.close()
    assert {one.parent_id for one in collector.spans} == {PARENT.span_id.hex()}
    assert len({one.span_id for one in collector.spans}) == 4


def test_a_collector_that_is_away_costs_spans_and_one_warning() -> None:
    (port,) = free_ports(1)
    before = dropped("queue")
    with capture_logs() as said:
        tracer = Tracer(settings(f"http://127.0.0.1:{port}", queue=100), "produce")
        began = time.perf_counter()
        for number in range(5_000):
            tracer.put(span(number=number))
        assert time.perf_counter() - began < 5.0
        deadline = time.monotonic() + 10
        while dropped("queue") - before < 4_900:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with collecting(port) as collector:
            collector.wait(lambda: len(collector.spans) >= 100)
            collector.wait(lambda: "takes spans again" in said[-1]["event"])
            tracer.close()
    assert [entry["log_level"] for entry in said] == ["warning", "info"]
    assert len({one.span_id for one in collector.spans}) == len(collector.spans)


def test_a_collector_that_refuses_is_not_asked_twice() -> None:
    before = dropped("refused")
    with capture_logs() as said, collecting() as collector:
        collector.status = 400
        tracer = Tracer(settings(collector.endpoint, headers=SecretStr("api-key=k1, x=2")), "produce")
        tracer.put(span())
        tracer.close()
    assert dropped("refused") - before == 1
    assert [(each["api-key"], each["x"]) for each in collector.headers] == [("k1", "2")]
    assert [entry["log_level"] for entry in said] == ["warning"]
    assert "k1" not in str(said)


def test_nothing_is_traced_until_it_is_asked_for() -> None:
    tracing.configure(TracingSettings(), "produce")
    assert tracing.current() is None
    with collecting() as collector:
        tracing.configure(settings(collector.endpoint), "produce")
        tracer = tracing.current()
        assert tracer is not None
        tracer.put(span())
        tracing.close()
        assert [one.service for one in collector.spans] == ["kandle-produce"]
    assert tracing.current() is None


@pytest.mark.parametrize(
    "given",
    [
        *({"endpoint": "127.0.0.1:4318"}, {"headers": "key"}, {"sample": 1.5}),
        *({"headers": "key=a\nb"}, {"headers": "key=ä"}),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TracingSettings(**given)


def test_records_without_headers_are_not_looked_at_one_by_one() -> None:
    records = batch([[]] * 10)
    nowhere = np.full(10, -1, np.int64)
    columns = {name: getattr(records, name) for name in RawRecords.__dataclass_fields__}
    assert not SampledRecords.of(RawRecords(**columns | {"header_start": nowhere}))


def test_a_span_waits_for_nobody_else() -> None:
    with collecting() as collector:
        tracer = Tracer(settings(collector.endpoint), "produce")
        tracer.put(span())
        collector.wait(lambda: len(collector.spans) == 1, timeout_s=5)
        tracer.close()
