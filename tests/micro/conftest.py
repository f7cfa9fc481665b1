"""What all tests of micro stand on."""

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
