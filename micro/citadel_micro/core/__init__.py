"""The judgement of micro: pure, synchronous, deterministic. Time comes in as a parameter."""
