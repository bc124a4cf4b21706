//! The program: the loop, the request table by seal state, verification, serials, the journal.
