"""Where exact trading rules come from: the venue's own list, a file, or a capture's decimals."""

from citadel_micro.adapters.binance.instruments import binance_instruments as binance_instruments
from citadel_micro.shell.instruments.capture import infer_instruments as infer_instruments
from citadel_micro.shell.instruments.capture import (
    instruments_for_capture as instruments_for_capture,
)
from citadel_micro.shell.instruments.file import read_instruments as read_instruments
from citadel_micro.shell.instruments.load import load_instruments as load_instruments
