//! Use cases shared by all surfaces.
