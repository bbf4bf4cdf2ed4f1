"""Topics as Parquet files on a disk, in S3 or in Google Cloud Storage; see `destination` for how."""
