"""The venues that the simulator speaks for, one file each; `producers.simulator.venue` finds them."""
