"""What every job needs, whatever its stage: files, states, locks, servers, other people's code."""
