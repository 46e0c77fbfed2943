//! The session as clients drive it, on a home in memory.
