//! Every row of the table of the CertMaker contract: method, path, identity and body lead to a status and a
//! body.

mod account;
mod bot;
mod issuing;
mod world;
