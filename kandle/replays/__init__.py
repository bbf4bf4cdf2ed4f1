"""What `kandle replay` does: into a namespace, to clients, compared, removed."""
