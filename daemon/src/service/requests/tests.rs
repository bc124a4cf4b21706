//! Requests, against a signer on a socket.
