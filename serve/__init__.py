"""The page and the API over topics and database; imports what computes and stores, is imported by `kandle`."""
