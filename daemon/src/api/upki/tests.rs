//! Every row of the tables of the uPKI contract: method, path, identity and body lead to a status and a
//! shape.

mod bodies;
mod certify;
mod client;
mod private;
mod public;
mod world;
