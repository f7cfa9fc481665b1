"""One package per venue, or family of venues, with everything specific to it.

Importing it registers the venues with the shell (``shell.slot``).
"""

from citadel_micro.adapters.generic import CcxtFeeds
from citadel_micro.adapters.hosts import AdapterHosts
from citadel_micro.adapters.rules import AdapterRules
from citadel_micro.adapters.specs import AdapterSpecs
from citadel_micro.shell.instruments.sources import RULES
from citadel_micro.shell.marketdata.generic import GENERIC
from citadel_micro.shell.marketdata.spec import SPECS
from citadel_micro.shell.networks import HOSTS

SPECS.fill(AdapterSpecs())
RULES.fill(AdapterRules())
GENERIC.fill(CcxtFeeds())
HOSTS.fill(AdapterHosts())
