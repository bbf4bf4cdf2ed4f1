"""The page and the API over topics and database; may import stages, is imported by `kandle`."""
