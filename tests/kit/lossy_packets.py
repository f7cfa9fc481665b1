"""A network that loses, doubles, reorders, damages and delays IP packets: between the kernel's own TCP on both ends.

A TUN device whose other end is this process. What is sent to ``PacketLink.host`` comes out of the device, gets its two
addresses swapped (which leaves every checksum right) and goes back in: the kernel takes it for a packet from another
machine. So a client that connects to ``host:PORT`` reaches the server on ``127.0.0.1:PORT``, and its answers come by the
same way. Only in a network namespace of its own: ``in_namespace``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import heapq
import os
import select
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from faulty_relay import TOWARDS_CLIENT, TOWARDS_SERVER

if TYPE_CHECKING:
    from random import Random

_INSIDE: Final = "CITADEL_TEST_NAMESPACE"
_DEVICE: Final = Path("/dev/net/tun")
_SET_INTERFACE: Final = 0x400454CA
_TUN: Final = 0x0001
_NO_HEADER: Final = 0x1000
_TCP: Final = 6
_LARGEST: Final = 1 << 16
_IDLE_S: Final = 0.5


def unavailable() -> str:
    """Why this machine cannot do it; empty when it can."""
    if sys.platform != "linux" or not _DEVICE.exists():
        return "there is no /dev/net/tun"
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "there is no unshare or no ip (util-linux, iproute2)"
    tried = subprocess.run(
        namespaced(["sh", "-c", _PROBE]), capture_output=True, text=True, check=False, timeout=60
    )
    return (tried.stderr.strip() or "no namespace") if tried.returncode else ""


def in_namespace() -> bool:
    """Whether this process is in a network namespace that was made for it."""
    return _INSIDE in os.environ


def namespaced(arguments: list[str]) -> list[str]:
    """A command that runs another one in a network namespace of its own, where there is only loopback."""
    return [*_UNSHARE, "env", f"{_INSIDE}=1", "sh", "-c", _PREPARE, "sh", *arguments]


_UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--net")
# The address of loopback is one instead of all of 127/8, so that others of these can be routed to a device.
_PREPARE: Final = (
    "ip link set lo up && ip addr flush dev lo && ip addr add 127.0.0.1/32 dev lo && "
    'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet && exec "$@"'
)
_PROBE: Final = (
    "ip tuntap add dev probe mode tun && echo 1 > /proc/sys/net/ipv4/conf/probe/route_localnet"
)


class PacketLink:
    """One device and its thread: ``with PacketLink(chance) as link``, once a process."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        pid = os.getpid()
        self._name = f"cit{pid}"
        self.host = f"127.{1 + (pid >> 8) % 254}.{pid & 255}.2"
        """Where clients connect to; on loopback, for those who ask."""
        self.ways: dict[int, LossyWay] = {}
        self.counts = dict.fromkeys(("passed", "lost", "doubled", "overtaken", "damaged"), 0)
        self._due: list[tuple[float, int, bytes]] = []
        self._number = 0
        self._stop = False

    def __enter__(self) -> Self:
        if not in_namespace():
            raise RuntimeError("in a network namespace of its own only")
        self._device = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH", self._name.encode(), _TUN | _NO_HEADER)
        fcntl.ioctl(self._device, _SET_INTERFACE, request)
        settings = Path("/proc/sys/net/ipv4/conf") / self._name
        (settings / "route_localnet").write_text("1")
        (settings / "rp_filter").write_text("0")
        for command in (
            f"link set {self._name} up",
            f"route add {self.host}/32 dev {self._name} src 127.0.0.1",
        ):
            subprocess.run([shutil.which("ip") or "ip", *command.split()], check=True)
        self._thread = threading.Thread(target=self._run, name="packets", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()
        os.close(self._device)

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._device, select.POLLIN)
        while not self._stop:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._write(heapq.heappop(self._due)[2])
            wait = min(self._due[0][0] - now, _IDLE_S) if self._due else _IDLE_S
            if poller.poll(max(0.0, wait) * 1_000):
                with contextlib.suppress(BlockingIOError):
                    self._take(bytearray(os.read(self._device, _LARGEST)))

    def _take(self, packet: bytearray) -> None:
        if packet[0] >> 4 != 4 or packet[9] != _TCP:
            return  # the kernel announces itself by IPv6
        packet[12:16], packet[16:20] = packet[16:20], packet[12:16]
        source, to = struct.unpack_from("!HH", packet, (packet[0] & 15) * 4)
        way = self.ways.get(to)
        towards = TOWARDS_SERVER
        if way is None:
            way, towards = self.ways.get(source), TOWARDS_CLIENT
        if way is None:
            self._write(bytes(packet))
            return
        chance = self._chance
        if way.cut_off or towards in way.stalled or chance.random() < way.loss:
            self.counts["lost"] += 1
            return
        late = way.delay_s + chance.random() * way.jitter_s
        if chance.random() < way.overtaken:
            self.counts["overtaken"] += 1
            late += chance.random() * way.hold_s
        if chance.random() < way.damaged:
            self.counts["damaged"] += 1
            packet[chance.randrange(20, len(packet))] ^= 1 << chance.randrange(8)
        copies = 1 + (chance.random() < way.doubled)
        self.counts["doubled"] += copies - 1
        self.counts["passed"] += 1
        for _ in range(copies):
            self._number += 1
            heapq.heappush(self._due, (time.monotonic() + late, self._number, bytes(packet)))

    def _write(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # a device that is full loses it, as any does
            os.write(self._device, packet)


class LossyWay:
    """What ``FaultyRelay`` is for bytes, for packets: the way to one port, by a link."""

    def __init__(self, link: PacketLink, port: int, chance: Random) -> None:
        self._link = link
        self._chance = chance
        self.port = port
        self.stalled: frozenset[str] = frozenset()
        """Directions in which everything is lost."""
        self.cut_off = False
        self.heal()

    @property
    def address(self) -> str:
        return f"tcp://{self._link.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._link.ways[self.port] = self
        return self

    async def __aexit__(self, *_: object) -> None:
        self.heal()

    async def cut(self) -> None:
        """Nothing gets through until ``heal``; connections do not learn of it."""
        self.cut_off = True

    async def reset(self) -> None:
        """A moment without a network."""
        self.cut_off = True
        await asyncio.sleep(self._chance.random() * 0.05)
        self.cut_off = False

    def heal(self) -> None:
        self.cut_off = False
        self.stalled = frozenset()
        self.delay_s = self.jitter_s = self.hold_s = 0.0
        self.loss = self.doubled = self.overtaken = self.damaged = 0.0

    def worsen(self) -> None:
        """Lose, double, damage and reorder some of all packets from now on."""
        chance = self._chance
        self.loss = chance.choice((0.01, 0.05, 0.2, 0.4))
        self.doubled = chance.choice((0.0, 0.05, 0.3))
        self.damaged = chance.choice((0.0, 0.02))
        self.overtaken = chance.choice((0.0, 0.1, 0.5))
        self.hold_s = chance.choice((0.005, 0.05, 0.2))
