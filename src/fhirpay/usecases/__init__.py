"""One file = one story, its units of work in order. Called by web, cli and the workers that `wiring` starts."""
