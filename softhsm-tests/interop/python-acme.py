#!/usr/bin/python3
"""An account's whole life with python-acme: every step is the library's own call, but for the key
rollover, which it has no call for."""

import argparse
import contextlib
import threading

import josepy
from acme import challenges, client, crypto_util, errors, jws, messages, standalone
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import crypto


class Session:
    def __init__(self, arguments):
        self.arguments = arguments
        self.key = josepy.JWKRSA(key=rsa.generate_private_key(65537, 2048))
        self.net = client.ClientNetwork(self.key, user_agent="interop", verify_ssl=arguments.trust)
        directory = client.ClientV2.get_directory(arguments.directory, self.net)
        self.acme = client.ClientV2(directory, self.net)
        self.account = None
        self.certificate_key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = None

    def register(self):
        binding = None
        if self.arguments.kid:
            binding = messages.ExternalAccountBinding.from_data(
                account_public_key=self.key.public_key(),
                kid=self.arguments.kid,
                hmac_key=self.arguments.hmac,
                directory=self.acme.directory,
            )
        registration = messages.NewRegistration.from_data(
            email="admin@example.test", terms_of_service_agreed=True, external_account_binding=binding
        )
        self.account = self.acme.new_account(registration)
        assert self.account.body.status == "valid", self.account

    def again(self):
        """The same key finds the same account."""
        self.net.account = None  # sign with the key itself, as for the first time
        try:
            self.acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
        except errors.ConflictError as conflict:
            assert conflict.location == self.account.uri, conflict.location
            self.net.account = self.account
            return
        raise AssertionError("a second account for one key")

    def obtain(self):
        name = self.arguments.name
        pem = self.certificate_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        order = self.acme.new_order(crypto_util.make_csr(pem, [name]))
        (authorization,) = order.authorizations
        kind = {"http-01": challenges.HTTP01, "tls-alpn-01": challenges.TLSALPN01}[self.arguments.proof]
        (challenge,) = [c for c in authorization.body.challenges if isinstance(c.chall, kind)]
        with self.answering(challenge, name):
            self.acme.answer_challenge(challenge, challenge.response(self.key))
            try:
                order = self.acme.poll_and_finalize(order)
            except errors.ValidationError as error:
                problems = [c.error for failed in error.failed_authzrs for c in failed.body.challenges if c.error]
                raise SystemExit(f"not proved: {problems}") from error
        leaf, *chain = order.fullchain_pem.split("-----BEGIN CERTIFICATE-----")[1:]
        self.certificate = self.save("cert.pem", [leaf])
        self.save("chain.pem", chain)

    def save(self, file, certificates):
        text = "".join("-----BEGIN CERTIFICATE-----" + certificate for certificate in certificates)
        with open(f"{self.arguments.folder}/{file}", "w", encoding="ascii") as out:
            out.write(text)
        return text

    @contextlib.contextmanager
    def answering(self, challenge, name):
        if self.arguments.proof == "http-01":
            response, validation = challenge.response_and_validation(self.key)
            resource = standalone.HTTP01RequestHandler.HTTP01Resource(challenge.chall, response, validation)
            server = standalone.HTTP01Server(("127.0.0.1", self.arguments.http_port), {resource})
        else:
            certificate, key = challenge.validation(self.key, domain=name)
            shown = {name.encode(): (key, certificate)}
            server = standalone.TLSALPN01Server(("127.0.0.1", self.arguments.tls_port), {}, shown)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def update(self):
        body = self.account.body.update(contact=("mailto:other@example.test",))
        self.account = self.acme.update_registration(self.account, body)
        assert self.account.body.contact == ("mailto:other@example.test",), self.account.body

    def rollover(self):
        url = self.acme.directory["keyChange"]
        new = josepy.JWKRSA(key=rsa.generate_private_key(65537, 2048))
        payload = Change({"account": self.account.uri, "oldKey": self.key.public_key().to_partial_json()})
        inner = jws.JWS.sign(payload.json_dumps().encode(), key=new, alg=josepy.RS256, nonce=None, url=url)
        self.net.post(url, Change(inner.to_partial_json()), new_nonce_url=self.acme.directory["newNonce"])
        self.key = new
        try:
            self.net.post(self.account.uri, None, new_nonce_url=self.acme.directory["newNonce"])
        except messages.Error as error:
            assert "signature" in error.detail, error
        else:
            raise AssertionError("the old key still speaks for the account")
        self.net.key = new
        assert self.acme.query_registration(self.account).uri == self.account.uri

    def revoke(self):
        self.acme.revoke(self.certificate_as_openssl(), 4)

    def revoke_by_key(self):
        key = josepy.JWKEC(key=self.certificate_key)
        net = client.ClientNetwork(key, alg=josepy.ES256, user_agent="interop", verify_ssl=self.arguments.trust)
        client.ClientV2(self.acme.directory, net).revoke(self.certificate_as_openssl(), 1)

    def certificate_as_openssl(self):
        certificate = crypto.load_certificate(crypto.FILETYPE_PEM, self.certificate.encode())
        return josepy.ComparableX509(certificate)

    def deactivate(self):
        self.account = self.acme.deactivate_registration(self.account)
        assert self.account.body.status == "deactivated", self.account
        try:
            self.acme.query_registration(self.account)
        except messages.Error as error:
            assert error.typ == "urn:ietf:params:acme:error:unauthorized", error
            return
        raise AssertionError("a deactivated account is answered")


class Change(josepy.JSONDeSerializable):
    """JSON as it is, for a request that the library has no message for."""

    def __init__(self, members):
        self.members = members

    def to_partial_json(self):
        return self.members

    @classmethod
    def from_json(cls, jobj):
        return cls(jobj)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ["--directory", "--folder", "--name", "--trust"]:
        parser.add_argument(flag, required=True)
    for flag in ["--hmac", "--kid"]:
        parser.add_argument(flag)
    for flag in ["--http-port", "--tls-port"]:
        parser.add_argument(flag, type=int)
    parser.add_argument("--proof", choices=["http-01", "tls-alpn-01"], default="http-01")
    parser.add_argument("steps", nargs="+")
    arguments = parser.parse_args()
    session = Session(arguments)
    for step in arguments.steps:
        print(step, flush=True)
        getattr(session, step)()


if __name__ == "__main__":
    main()
