"""Records of the contract as their venue would have sent them: one file a venue."""
