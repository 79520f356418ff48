//! Shoal: to come.
