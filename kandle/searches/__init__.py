"""What `kandle optimize` tells."""
