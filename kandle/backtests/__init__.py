"""What `kandle backtest` and `kandle optimize` ask for, read and tell."""
