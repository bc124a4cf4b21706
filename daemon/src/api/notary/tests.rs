//! Every row of the tables of the Notary contract, in both generations' form: method, path, identity and
//! body lead to a status and a shape.

mod accounts;
mod acme_servers;
mod authorities;
mod requests;
mod rights;
mod world;
