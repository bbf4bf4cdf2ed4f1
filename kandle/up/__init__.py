"""`kandle up`: the whole pipeline on one machine, from the choice of the feed to the summary of the run."""
