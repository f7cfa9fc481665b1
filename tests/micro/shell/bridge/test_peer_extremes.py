"""Whatever decodes, micro lives on, says so every second, and its journal can be recomputed."""

from __future__ import annotations

import asyncio
import math
import typing
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uplink_kit import Macro, Micro

from citadel_bridge.sockets import MAX_MESSAGE
from citadel_micro.shell.journal.verify import verify
from citadel_proto import topics
from citadel_proto.codec import encode
from citadel_proto.messages import Cancel, MacroHeartbeat, Query, Signal, SignalChannel

if TYPE_CHECKING:
    from pathlib import Path

_NUMBERS = st.one_of(
    st.sampled_from(
        [-(2**63), -(2**62), -1, 0, 1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
    ),
    st.integers(-(2**63), 2**64 - 1),
)
_TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "x",
            "x" * 80,
            "x" * 81,
            "x" * 128,
            "\x00",
            "é" * 80,
            "\U0010ffff" * 40,
            "a b",
            "*",
            "1e999999999",
            "1e99",
            "-0",
            "NaN",
            "9" * 64,
            "9" * 128,
            "0." + "0" * 60 + "1",
            "1e-99",
        ]
    ),
    st.text(max_size=90),
)
_FLOATS = st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, 0.5])
_PARAMS = st.dictionaries(_TEXTS, _TEXTS | _NUMBERS | _FLOATS | st.booleans(), max_size=70)

_BASE: dict[type[SignalChannel], dict[str, Any]] = {
    Signal: {
        "signal_id": "s",
        "strategy": "test",
        "venue": "binance-spot",
        "symbol": "BTC/USDT",
        "side": "buy",
        "quantity": "0.01",
        "created_ns": 1,
        "expires_ns": 2,
        "epoch": 1,
        "seq": 1,
    },
    Cancel: {"signal_id": "s", "created_ns": 1, "epoch": 1, "seq": 1},
    Query: {
        "query_id": "q",
        "kind": "orders",
        "reply_to": "m",
        "created_ns": 1,
        "epoch": 1,
        "seq": 1,
    },
    MacroHeartbeat: {
        "instance": "m",
        "epoch": 1,
        "seq": 1,
        "state": "running",
        "wall_ns": 1,
        "mono_ns": 1,
    },
}


def _values(kind: Any) -> st.SearchStrategy[Any] | None:  # noqa: ANN401 - an annotation
    text = str(kind)
    if "dict" in text:
        return _PARAMS
    if "bool" in text:
        return st.booleans()
    if "float" in text:
        return _FLOATS
    if "int" in text:
        return _NUMBERS
    if "Literal" in text:
        return st.sampled_from(typing.get_args(kind))
    return _TEXTS


@st.composite
def messages(draw: st.DrawFn) -> SignalChannel:
    kind = draw(st.sampled_from(list(_BASE)))
    hints = typing.get_type_hints(kind)
    chosen = draw(
        st.lists(st.sampled_from(kind.__struct_fields__), min_size=1, max_size=4, unique=True)
    )
    changes = {}
    for name in chosen:
        values = _values(hints[name])
        if values is not None:
            changes[name] = draw(values)
    return kind(**_BASE[kind] | changes)


EXAMPLES: Final = examples(120, 4_000)


@pytest.mark.long
def test_any_message_at_any_extreme_leaves_micro_and_its_journal_well(tmp_path: Path) -> None:
    async def main() -> None:
        macro = Macro()
        micro = Micro(tmp_path / "run", (macro.address,))
        inbox = micro.uplink._ways_in[0].inbox

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(messages(), min_size=1, max_size=4))
        def extremes(batch: list[SignalChannel]) -> None:
            for message in batch:
                try:
                    frame = topics.join(b"signal/x/y", encode(message))
                except (OverflowError, UnicodeEncodeError):
                    continue
                inbox.feed(frame)
            assert not micro.runner.failed
            micro.book()

        try:
            extremes()
            beats = len(micro.beats())
            macro.beat()
            await micro.until(lambda: len(micro.beats()) > beats + 1)
            good = macro.signal()
            macro.send(good)
            await micro.until(lambda: micro.report(good.signal_id) is not None)
            assert micro.undecodable == 0, "what micro says of them decodes"
        finally:
            micro.close()
            macro.close()
        found = verify(micro.journal.path)
        assert found.difference is None
        assert found.damaged == ""
        assert found.events > EXAMPLES

    asyncio.run(main())


def test_a_heartbeat_from_before_the_beginning_ends_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        macro = Macro()
        micro = Micro(tmp_path / "run", (macro.address,))
        try:
            await micro.until(micro.beats)
            for wall_ns, mono_ns in ((-(2**63), 0), (2**63 - 1, 2**63 - 1), (0, 0), (2**64 - 1, 0)):
                macro.beat(wall_ns=wall_ns, mono_ns=mono_ns)
            for seq in (1, 2**63 - 1, 2**64 - 1, -(2**63)):
                beat = MacroHeartbeat(
                    instance="n", epoch=9, seq=seq, state="running", wall_ns=1, mono_ns=1
                )
                macro.publisher.send_raw(topics.join(topics.HEARTBEAT, encode(beat)))
            macro.beat()
            await micro.until(lambda: "macro-1" in micro.uplink.received_by(0) or _seen(micro))
        finally:
            micro.close()
            macro.close()

    asyncio.run(main())


def _seen(micro: Micro) -> bool:
    return any(name == "macro-1" for beat in micro.beats() for name, _ in beat.macros_seen)


def test_nothing_that_peers_call_themselves_silences_micro(tmp_path: Path) -> None:
    async def main() -> None:
        macro = Macro()
        micro = Micro(tmp_path / "run", (macro.address,))
        try:
            await micro.until(micro.beats)
            for letter in "ab":
                macro.beat(instance=letter * 2_200_000)
            for number in range(300):
                macro.beat(instance=f"{number:080d}", epoch=number)
            await micro.until(lambda: micro.stats.events.get("MacroBeat", 0) >= 64)
            seen = len(micro.beats())
            await micro.until(lambda: len(micro.beats()) >= seen + 2)
            assert max(len(beat.macros_seen) for beat in micro.beats()) == 64
            assert micro.uplink.peers.refused == 300 - 64
            assert micro.uplink.dropped == 0
        finally:
            micro.close()
            macro.close()

    asyncio.run(main())


def test_who_has_many_names_keeps_nobody_out(tmp_path: Path) -> None:
    async def main() -> None:
        crowd, macro = Macro("crowd"), Macro("macro-1", epoch=2, owner="mine")
        micro = Micro(tmp_path / "run", (crowd.address, macro.address))

        def beat() -> None:
            for number in range(70):
                crowd.beat(instance=f"crowd-{number}", epoch=100 + number)

        try:
            await micro.until(micro.beats)
            beat()
            await micro.until(lambda: micro.stats.events.get("MacroBeat", 0) >= 64)

            def named() -> bool:
                beat()
                macro.beat()
                return _seen(micro)

            await micro.until(named)
            beat()
            macro.beat()
            beats = len(micro.beats())
            await micro.until(lambda: len(micro.beats()) >= beats + 2)
            names = [name for name, _ in micro.beats()[-1].macros_seen]
            assert "macro-1" in names
            assert len(names) == 64
        finally:
            micro.close()
            crowd.close()
            macro.close()

    asyncio.run(main())


def test_every_field_of_the_signals_channel_is_drawn() -> None:
    for kind in typing.get_args(SignalChannel):
        assert kind in _BASE
        assert msgspec.structs.fields(kind)


def test_micro_hears_an_address_again_that_one_huge_frame_has_closed(tmp_path: Path) -> None:
    async def main() -> None:
        macro, other = Macro("macro-1"), Macro("macro-2", epoch=2)
        micro = Micro(tmp_path / "run", (macro.address, other.address))
        try:
            await micro.until(micro.beats)

            def heard() -> bool:
                macro.beat()
                other.beat()
                return {"macro-1", "macro-2"} == {
                    p.instance for p in micro.uplink.peers.alive(now())
                }

            now = micro.clock.now
            await micro.until(heard)
            macro.publisher.send_raw(b"hb\0" + bytes(MAX_MESSAGE))
            before = micro.uplink.peers.alive(now())[0].seq
            order = macro.signal()

            def served() -> bool:
                macro.beat()
                other.beat()
                macro.send(msgspec.structs.replace(order, created_ns=macro.wall()))
                return micro.report(order.signal_id) is not None

            await micro.until(served)
            assert micro.uplink.peers.alive(now())[0].seq > before
            first, second = micro.uplink.listening()
            assert first["connected_anew"] == 1
            assert second["connected_anew"] == 0
        finally:
            micro.close()
            macro.close()
            other.close()

    asyncio.run(main())
