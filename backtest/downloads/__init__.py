"""History of venues: asked for by REST, kept as Parquet under the data directory."""
