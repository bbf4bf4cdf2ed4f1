"""The result of a run for others to read: Parquet files, and one page of HTML."""
