# Types of the compiled reader of frames; see _forms.pyx.

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

VERSION: Final[int]

Side: TypeAlias = tuple[str, bytes, bytes]
Row: TypeAlias = Sequence[bytes | str | Side]
Part: TypeAlias = bytes | tuple[str, int] | tuple[str, int, int, Row]

class Form:
    def __init__(
        self,
        event: type[tuple[Any, ...]],
        fields: Sequence[object],
        *,
        recv: int,
        parts: Sequence[Part],
        flags: tuple[object, object] = (True, False),
        rising: tuple[int, int] | None = None,
        copies: Sequence[tuple[int, int]] = (),
        texts: tuple[int, int, int] | None = None,
        name: bytes = b"",
        named: int = -1,
    ) -> None: ...
    def renamed(self, name: bytes, value: object) -> Form: ...
    def read(self, data: bytes, recv_ns: int) -> tuple[Any] | None: ...
