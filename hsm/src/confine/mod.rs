//! Confinement from inside, in the order of the design: capabilities and user, no_new_privs,
//! dumpable, limits, Landlock, then seccomp from data files.

pub mod fd;
