//! The surface through its router, with a real store and a signer on a socket.

mod accounts;
mod client;
mod contract;
mod eab;
mod finalize;
mod flow;
mod limits;
mod nodes;
mod orders;
mod renewal;
mod states;
mod upkeep;
