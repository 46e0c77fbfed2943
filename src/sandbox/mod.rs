//! Simulators of the outside systems, by their official specifications; shares `domain` and `clock` with the rest, nothing else.
