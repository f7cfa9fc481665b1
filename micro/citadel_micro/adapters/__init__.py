"""One package a venue, or a family of venues, with everything that is known of it.

Importing it fills the places that the shell has for venues (``shell.slot``).
"""

from citadel_micro.adapters.generic import CcxtFeeds
from citadel_micro.adapters.rules import AdapterRules
from citadel_micro.adapters.specs import AdapterSpecs
from citadel_micro.shell.instruments.sources import RULES
from citadel_micro.shell.marketdata.generic import GENERIC
from citadel_micro.shell.marketdata.spec import SPECS

SPECS.fill(AdapterSpecs())
RULES.fill(AdapterRules())
GENERIC.fill(CcxtFeeds())
