"""The reference page of the wire, made from the messages that both sides are built from.

Everything that a client in another language needs is on the page: a test lets two such clients learn
the positions of all fields from its tables, and trade.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Final, get_args

from msgspec import NODEFAULT
from msgspec.inspect import StructType, type_info

from citadel_bridge import addresses, auth, sockets, upstream
from citadel_proto import bounds, codec, feed_parts, messages, tape, topics
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from types import ModuleType

_TYPES: Final = {
    "Name": "name",
    "Scope": "scope",
    "Text": "text",
    "Number": "decimal",
    "RawNumber": "decimal",
    "Time": "ns",
    "Count": "uint",
    "Integer": "int",
    "Levels": "levels",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "None": "nil",
}
"""The words of the page for the types of the fields; a type that is not here stops the generation."""

_EXACT_DOUBLE: Final = "2^53"
_READERS: Final = {
    "macro": "a macro",
    "micro": "micro",
    "cli": "the command line",
    "recorder": "a recorder",
}


def page() -> str:
    """The whole page."""
    return (
        _HEAD
        + _INTRODUCTION.format(
            signals=addresses.DEFAULT_SIGNALS,
            market=addresses.DEFAULT_MARKET,
            commands=addresses.DEFAULT_COMMAND_SIGNALS,
            schema=messages.SCHEMA_VERSION,
            topic=topics.MAX_TOPIC,
            frame=codec.MAX_FRAME,
            subscription=sockets.MAX_SUBSCRIPTION,
            queue=sockets.HIGH_WATER,
            subscribers=upstream.MOST_SUBSCRIBERS,
            name=bounds.LONGEST_NAME,
            scope=2 * bounds.LONGEST_NAME,
            text=bounds.LONGEST_TEXT,
            printed=bounds.LONGEST_PRINTED,
            levels=bounds.MOST_LEVELS,
            digits=codec.MAX_DECIMAL_TEXT,
            exact=_EXACT_DOUBLE,
            clients=_clients(),
        )
        + _channel("Signals channel: published by a macro", messages.SignalChannel)
        + _channel("Market channel: published by micro", messages.MarketChannel)
        + _parts()
        + _TAPE.format(signals=tape.SIGNALS, market=tape.MARKET)
    )


def _clients() -> str:
    rows = "".join(
        f"| {_READERS[server]} | {', '.join(_READERS[name] for name in clients)} |\n"
        for server, clients in auth.CLIENTS_OF.items()
    )
    return f"| binds, and is the CURVE server | admits as subscribers |\n| --- | --- |\n{rows}"


def _channel(title: str, union: object) -> str:
    return f"\n## {title}\n" + "".join(_message(kind, messages) for kind in get_args(union))


def _parts() -> str:
    kinds = (
        (messages.Trade, messages),
        (messages.Fill, messages),
        (messages.Balance, messages),
        (messages.Position, messages),
        (feed_parts.FeedHealth, feed_parts),
        (feed_parts.VenueQuote, feed_parts),
    )
    return (
        "\n## Parts\n\nArrays inside messages. They have no name in front: position 0 is the first field.\n"
        + ("".join(_message(kind, module) for kind, module in kinds))
    )


def _message(kind: type, module: ModuleType) -> str:
    info = type_info(kind)
    assert isinstance(info, StructType)  # noqa: S101 - every message is one
    tagged = info.tag is not None
    said = _said(kind)
    topic = _topic(kind) if tagged else ""
    first = 1 if tagged else 0
    fixed = [place for place, field in enumerate(info.fields, first) if field.required]
    rows = [f"| 0 | | `{kind.__name__}` | always | The kind of message. |\n"] if tagged else []
    for place, field in enumerate(info.fields, first):
        annotation, text = said.get(field.name, ("", ""))
        default = "always" if field.required else _default(field.default)
        rows.append(
            f"| {place} | `{field.name}` | {_type(annotation, module)} | {default} | {text} |\n"
        )
    length = max(fixed, default=first - 1) + 1
    doc = _plain((kind.__doc__ or "").split("\n\n")[0])
    return (
        f"\n### {kind.__name__}\n\n{doc} {topic}At least {length} elements.\n\n"
        "| | field | type | if absent | |\n| ---: | --- | --- | --- | --- |\n" + "".join(rows)
    )


def _topic(kind: type[messages.SignalChannel | messages.MarketChannel]) -> str:
    word, *names = kind.TOPIC
    text = "/".join([word, *(f"<{name}>" for name in names)])
    return f"Topic `{text}`. "


def _default(value: object) -> str:
    if value is NODEFAULT:
        return "empty"  # a container, made anew for every message
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "empty"
    return f"`{value}`" if value != "" else "empty"


def _said(kind: type) -> dict[str, tuple[str, str]]:
    """Of every field of a class: its annotation and the text under it, from the source."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class
    found: dict[str, tuple[str, str]] = {}
    last = ""
    for node in body.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=last), annotation=annotation):
                found[last] = (ast.unparse(annotation), "")
            case ast.Expr(value=ast.Constant(value=str() as text)) if last in found:
                found[last] = (found[last][0], _plain(text))
            case _:
                last = ""
    return found


def _plain(text: str) -> str:
    """The text of a docstring as one cell of a table."""
    line = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
    return re.sub(r"\bNone\b", "nil", line)


def _type(annotation: str, module: ModuleType) -> str:
    return _words(ast.parse(annotation, mode="eval").body, module)


def _words(node: ast.expr, module: ModuleType) -> str:
    """One annotation in the words of the page."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return f"{_words(left, module)} or {_words(right, module)}"
        case ast.Constant(value=None):
            return "nil"
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.Name(id="Param"):
            return "str, int, float or bool"
        case ast.Name(id=name):
            return _named(name, module)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, meta])):
            most = next(
                int(ast.literal_eval(word.value))
                for word in getattr(meta, "keywords", ())
                if word.arg == "max_length"
            )
            return f"{_words(inner, module)}; at most {most:,}"
        case ast.Subscript(
            value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[each, ast.Constant()])
        ):
            return f"array of {_words(each, module)}"
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=inner)):
            return f"[{'; '.join(_words(each, module) for each in inner)}]"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, value])):
            return f"map of {_words(key, module)} to {_words(value, module)}"
        case _:
            raise InvariantError(f"no word for the type {ast.unparse(node)}")


def _named(name: str, module: ModuleType) -> str:
    """A word for a type that the module defines: a choice of texts, or a part."""
    value = getattr(module, name, None)
    if isinstance(value, type):
        return f"[{name}](#{name.lower()})"
    choices = get_args(value)
    if not choices or not all(isinstance(each, str) for each in choices):
        raise InvariantError(f"no word for the type {name}")
    return ", ".join(f"`{each}`" for each in choices)


_HEAD: Final = "# The wire\n\n"
_INTRODUCTION: Final = """\
What goes over the two channels, complete enough for a client in any language that has ZeroMQ and msgpack.
Schema version {schema}. A client in Python that uses only pyzmq and msgpack, and one in Node that uses only
`zeromq` and `@msgpack/msgpack`, are among the tests (`tests/system/wire_clients/`); both learn the positions
of the fields from this page.

## Sockets

| channel | default | binds | connects |
| --- | --- | --- | --- |
| signals | `{signals}` | a macro, one PUB each | micro, SUB, to every macro in `bridge.macros` |
| signals of the operator | `{commands}` | the command line, PUB | micro, SUB, to `bridge.command_lines` |
| market | `{market}` | micro, PUB | macros, recorders, dashboards, SUB |

The publisher always binds. Nobody sends an answer on the connection that a message came by: every reply is
published on the other channel. `tcp://` on loopback and `ipc://` are plaintext; any other address is refused
without CURVE keys. A client that sends signals binds an address of its own, and micro is told of it:
`citadel micro --signals tcp://127.0.0.1:5555,tcp://127.0.0.1:5560`.

On one machine a macro and micro may have a [lane](../howto/a-lane-on-one-machine.md) besides, by which the same frames come sooner.
It brings nothing that ZeroMQ does not: a client needs none.

{clients}
Keys are Z85, 40 characters, one pair each ([security](../explanation/peers-and-clocks.md)). A role can do what
its socket does: what subscribes to the market channel can send nothing to micro. What is published at the
operator's address may cancel any owner's order; at a macro's address a cancel counts for orders of the same
`owner` only.

## Frames

A message is one ZeroMQ frame, never a multipart message:

```
topic  00  body
```

- `topic`: UTF-8 without a NUL, at most {topic} octets: the kind, then names, joined by `/`. Subscribe to a
  prefix, such as `book/binance-spot/`; to exactly one topic with its `00` byte at the end.
- `body`: one msgpack array. Its first element is the kind of message as a string, the others are fields in the
  order of the tables below.
- A frame of more than {frame:,} octets, one without a topic, one that does not decode, and one with a field out
  of its range is counted and dropped, without an answer.
- A subscription takes at most {subscription:,} octets; one publisher serves {subscribers} subscribers.

Fields are only ever appended. A reader ignores elements beyond those that it knows; a writer may stop after
any element from which on all have a value `if absent`. Never leave one out in the middle: send its value if
absent.

| type | in msgpack | |
| --- | --- | --- |
| str | str | UTF-8. Choices are given as `this`, `that`. |
| name, scope, text | str | At most {name}, {scope} and {text:,} characters. |
| decimal | str | A number as text, exact: `0.5`, `-12`, `1e-7`; at most {digits} characters, no NaN, no infinity. Prices are in quote currency, quantities in base currency, money in its currency. |
| ns | int | Nanoseconds since 1970, UTC; `mono` in the name: of a clock that is never set. 0 to 2^63 - 1. |
| uint | int | 0 to 2^63 - 1. |
| int | int | 64 bits, signed. |
| float | float 64 (an int is read too) | Statistics only. NaN means no value. |
| bool | true, false | |
| levels | bin | {levels:,} levels at most, best first: price and size of each as two little-endian float64, so 16 octets a level. |
| array, map | array, map | |

Times exceed {exact}: a language whose numbers are doubles needs its big integers for every `ns`, `uint` and
`int`, in both directions.

micro takes less than the format allows of names in signals: at most {printed} octets of printable text; venue,
algorithm and all ids printable ASCII without blanks, `owner` only letters, digits, `-` and `_`.

## Sequences

Every publisher counts the frames of each topic from 1 in `seq`, and names its run: `instance` on the market
channel, `epoch` on the signals channel (the start of the process in ns: a larger one is a newer process). A
sequence that jumps means lost frames; one that is not larger is a repeated frame. A new run begins at 1. The
first frame that a subscriber gets of a topic is no gap. Each frame that is published again has the next number.

PUB drops frames for a subscriber whose queue of {queue:,} is full, and what is published before a
subscription has arrived is lost. So loss is normal, and what matters is repeated:

- **Books, trades, feed states**: the latest counts. Lost ones are not repeated.
- **Signals**: published again, unchanged but for `seq`, until a report on their `signal_id` comes, or they
  expire (macro: after 50 ms, doubling up to 2 s). micro acts once on an id, also after a restart of either
  side. A signal that comes right after a gap of its topic is rejected with `SEQ_GAP` if it opens a position,
  since what was lost may have contradicted it.
- **Cancels**: as signals, until a report says that the order is closed. An id that micro does not know yet is
  remembered, and its signal is refused when it comes.
- **Reports**: each holds the whole state of its order. The highest `revision` counts, others are ignored. A
  client that has missed some asks for `orders`: after a gap of their topic, and when a heartbeat's `reports`
  has grown by more than have come, since the lost one may have been the last of its topic. (A micro of
  before that field: after a gap of the heartbeats.)
- **Queries**: published again until the answer with their `query_id` comes.

## Heartbeats

Both sides send one every second, as soon as their socket is bound. micro's lists in `macros_seen` the instances
whose heartbeats it receives: **once your own `instance` is there, micro receives you.** Name micro's `instance` in
`micro_instance_seen`, so that it knows that you receive it. Without them no signal is accepted where micro's
`lease_required` is set, entries are canceled 15 s after the last, and clocks cannot be compared: a difference
of more than a second refuses new risk. 3 s without a micro heartbeat: send nothing new.

`schema` in both is the version of this page. It is raised only where a reader must know of a change, never for
appended fields. A client sends no signals to a micro of another schema; micro rejects those of a macro of another
schema with `SCHEMA_MISMATCH`, naming both, and lists it in `macros_refused`. Cancels are taken from anybody.

## Several micros

A client may connect to several micros; all of them receive what it publishes. Each then lists in `serves` the
(venue, symbol) of the orders that it takes, answers no signal on any other, and no query that names a venue it
does not trade on. So a signal needs a live micro that serves its pair; that an order is unknown needs the word of
that micro; a list needs the answers of all. Name them all in `micros_seen`. The name of a micro is its `instance`
up to the last `-`; what follows is another with every run.

## A client, step by step

1. Connect a SUB socket to the market address; subscribe to `hb`, `report/`, `answer/<your instance>` and the
   books you want. Bind a PUB socket at an address that micro knows.
2. Publish a MacroHeartbeat every second (more often until micro receives them), and wait for a MicroHeartbeat whose
   `macros_seen` has your instance.
3. Publish a Signal; publish it again until an ExecutionReport with its `signal_id` comes. That is the
   acknowledgement, and the order is micro's from then on.
4. Follow its reports. `status` is final when it is one of `filled`, `done_dust`, `canceled`, `expired`,
   `rejected`, `anomaly`.
5. After a restart, query `orders` with your `owner`, `mine` true and `working` true; while the answer is
   `truncated`, query again with its `cursor`.
"""
_TAPE: Final = """
## In recordings

A [tape](tape-format.md) holds frames as they were received, with direction {signals} for the signals channel and
{market} for the market channel.
"""
