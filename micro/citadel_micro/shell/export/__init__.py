"""Tables for other tools from journals and tapes: Parquet, or JSON lines."""
