"""Freqtrade's own command line, with its orders bridged to micro when it trades.

Only ``trade`` with ``dry_run`` false is bridged. In shadow mode the stock exchange is watched instead
(``shadow``). Every other command gets Freqtrade's stock exchange class and opens no socket of ours.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import freqtrade.exchange
import freqtrade.main
from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode
from freqtrade.exceptions import OperationalException
from freqtrade.exchange import MAP_EXCHANGE_CHILDCLASS, Exchange
from freqtrade.resolvers import ExchangeResolver

from citadel_bridge.exit_codes import Exit
from citadel_macro import freqtrade_files, markets_cache, pricing, strategy, ui_access
from citadel_macro import freqtrade_hooks as hooks
from citadel_macro.config import settings_of
from citadel_macro.exchange import BridgeMixin, bridged
from citadel_macro.key_guard import refuse_keys
from citadel_macro.micro_client import MicroLink
from citadel_macro.shadow.shadowing import Shadowing
from citadel_proto.errors import CitadelError, InvariantError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from freqtrade.constants import Config, ExchangeConfig

logger = logging.getLogger(__name__)

SWITCH_S: Final = 0.0005
"""How long one thread may keep the interpreter when another wants it: a tenth of Python's default.
The strategy's thread, woken by an acknowledgement, would otherwise wait up to 5 ms for a thread that
is decoding books or serving FreqUI at that moment."""


DRY_RUN: Final = (
    "dry_run is true: Freqtrade trades on paper by itself, and no order goes to micro. For orders "
    "through micro set dry_run to false; whether real money is at stake is then micro's mode, which "
    "is paper unless it was told otherwise."
)


def run(argv: Sequence[str], *, shadow: bool = False) -> Exit:
    """Run one Freqtrade command to its end and return an exit code.

    Args:
        argv: Freqtrade's arguments.
        shadow: let Freqtrade trade by itself, and micro work its orders on paper as well.

    Raises:
        CitadelError: why a bridged bot could not be built, instead of Freqtrade's own message.
    """
    hooks.check_version()
    with Launch(shadow=shadow).patched() as launch:
        try:
            freqtrade.main.main(list(argv))
        except SystemExit as end:
            code = end.code
        else:
            raise InvariantError("freqtrade.main returned; it always exits")
        finally:
            launch.close()
    if launch.failure is not None:
        raise launch.failure
    if code is None:
        # Freqtrade exits like this after help, after a usage error, and after a configuration
        # error; a trading session that ran ends with a number.
        asked_for_help = any(word in ("-h", "--help") for word in argv)
        return Exit.BAD_INPUT if argv[:1] == ["trade"] and not asked_for_help else Exit.OK
    # Freqtrade's 1 is an unexpected exception; its traceback has been logged.
    return Exit.BUG if code == 1 else Exit(int(code))


NO_MARKETS: Final = "Could not load markets"
"""So Freqtrade begins to say that it has had no answer."""


def _closing(
    construct: Callable[..., None], on_error: Callable[[CitadelError], object]
) -> Callable[..., None]:
    """The constructor of Freqtrade's exchange, which ends what it has begun when it fails.

    It starts a thread of websockets before it loads the markets. Without a network the bot says that it
    cannot start, and that thread would keep its process for ever: who supervises it never starts it again.
    Its connections would stay open until the collector meets it, as would those of one that FreqUI asks for.
    """

    def __init__(exchange: Exchange, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, N807 - Freqtrade's
        try:
            construct(exchange, *args, **kwargs)
        except BaseException as error:
            # What its close needs; before there is one, nothing has begun.
            if hasattr(exchange, "_exchange_ws"):
                exchange.close()  # type: ignore[no-untyped-call]
            its_own = kwargs.get("load_leverage_tiers")  # not one that FreqUI asks for meanwhile
            if its_own and str(error).startswith(NO_MARKETS):
                on_error(
                    PeerUnavailable(
                        f"{exchange.name} does not say its markets (above: why): check network, name server "
                        "and firewall, then start again"
                    )
                )
            raise

    return __init__


def trades(config: Mapping[str, Any]) -> bool:
    """Whether this run places real orders, so that it must be bridged."""
    return config.get("runmode") == RunMode.LIVE and not config.get("dry_run", True)


class Launch:
    """One run of Freqtrade: its bridge or its shadow, and its error if it failed.

    Args:
        shadow: shadow it whatever its configuration says.
    """

    def __init__(self, *, shadow: bool = False) -> None:
        self.failure: CitadelError | None = None
        self._shadow = shadow
        self._shadowing: Shadowing | None = None
        self._exchange: BridgeMixin | None = None
        self._link: MicroLink | None = None

    @contextlib.contextmanager
    def patched(self) -> Iterator[Launch]:
        """Make Freqtrade build its exchange here, for the duration of a ``with`` block.

        ``load_exchange`` is replaced, not the ``_load_exchange`` below it: that one turns any
        AttributeError of a constructor into a silent fallback to a class that is not bridged.
        """
        original = ExchangeResolver.__dict__["load_exchange"]
        stock = original.__func__

        def load_exchange(
            config: Config,
            *,
            exchange_config: ExchangeConfig | None = None,
            validate: bool = True,
            load_leverage_tiers: bool = False,
        ) -> Exchange:
            options: dict[str, Any] = {
                "exchange_config": exchange_config,
                "validate": validate,
                "load_leverage_tiers": load_leverage_tiers,
            }
            shadow = self._shadows(config)
            if shadow is not None:
                built: Exchange = stock(config, **options)
                if load_leverage_tiers:  # the bot's own, see ``_load``
                    shadow.watch(built)
                return built
            if trades(config):
                return self._load(config, options)
            if config.get("runmode") == RunMode.DRY_RUN and load_leverage_tiers:
                logger.warning("%s", DRY_RUN)
            cache = settings_of(config).markets_cache if "citadel" in config else ""
            with markets_cache.used(Path(cache)) if cache else contextlib.nullcontext():
                exchange: Exchange = stock(config, **options)
            return exchange

        read, construct = Configuration.load_config, Exchange.__init__

        def load_config(configuration: Configuration) -> dict[str, Any]:
            config = read(configuration)
            try:
                ui_access.prepare(config)
            except CitadelError as error:
                self.failure = error
                raise OperationalException(str(error)) from error
            return config

        ExchangeResolver.load_exchange = staticmethod(load_exchange)  # type: ignore[method-assign]
        Configuration.load_config = load_config  # type: ignore[method-assign,assignment]
        Exchange.__init__ = _closing(construct, self._fail)  # type: ignore[method-assign]
        try:
            with freqtrade_files.said(self._fail), hooks.installed(lambda: self._exchange):
                yield self
        finally:
            Configuration.load_config = read  # type: ignore[method-assign]
            Exchange.__init__ = construct  # type: ignore[method-assign]
            ExchangeResolver.load_exchange = original  # type: ignore[method-assign]

    def _fail(self, error: CitadelError) -> None:
        self.failure = error

    def _shadows(self, config: Config) -> Shadowing | None:
        """The shadow of this bot, where it is to have one; one a process, which survives a reload."""
        if config.get("runmode") not in (RunMode.LIVE, RunMode.DRY_RUN):
            return None
        try:
            if not self._shadow and ("citadel" not in config or not settings_of(config).shadow):
                return None
            if self._shadowing is None:
                self._shadowing = Shadowing(settings_of(config), config)
        except CitadelError as error:
            self.failure = error
            raise OperationalException(str(error)) from error
        return self._shadowing

    def _load(self, config: Config, options: dict[str, Any]) -> Exchange:
        try:
            exchange = self._build(config, options)
        except CitadelError as error:
            self.failure = error
            raise OperationalException(str(error)) from error
        if not isinstance(exchange, BridgeMixin):
            self.failure = InvariantError(f"{type(exchange).__name__} is not bridged")
            raise OperationalException(str(self.failure))
        if options["load_leverage_tiers"]:
            # The bot's own. Freqtrade's API and migrations build further ones temporarily.
            self._exchange = exchange
            strategy.attach(exchange)
            if said := hooks.check_version():
                logger.warning("%s", said)
        return exchange

    def _build(self, config: Config, options: dict[str, Any]) -> Exchange:
        for section in (config["exchange"], options["exchange_config"] or {}):
            refuse_keys(section)
        settings = settings_of(config)
        hooks.set_retry(settings)
        name = str(config["exchange"]["name"])
        title = MAP_EXCHANGE_CHILDCLASS.get(name, name).title()
        real = getattr(freqtrade.exchange, title, Exchange)
        sys.setswitchinterval(SWITCH_S)
        self._link = MicroLink.open(settings, config)
        logger.info(
            "Orders on %s go to micro: signals on %s, market from %s.",
            settings.venue,
            settings.signals,
            ", ".join(settings.market),
        )
        logger.info("%s", pricing.in_words(config, settings))
        return bridged(real, self._link, settings)(config, **options)

    def close(self) -> None:
        """Close the bridge; Freqtrade's reload of its configuration does not call this."""
        strategy.attach(None)
        self._exchange = None
        if self._shadowing is not None:
            self._shadowing.close()
            self._shadowing = None
        if self._link is not None:
            self._link.close()
            self._link = None
