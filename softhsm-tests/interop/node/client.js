// An account's whole life with npm's acme-client: client.js FOLDER PROOF NAME STEP…
// The environment says the rest: rig.env, and KID and HMAC for an external account.
'use strict';

const { execFileSync } = require('node:child_process');
const { writeFileSync } = require('node:fs');
const http = require('node:http');
const tls = require('node:tls');
const acme = require('acme-client');

const [folder, proof, name, ...steps] = process.argv.slice(2);
const { DNS_HOOK, HMAC, KID, SIGNET_DIRECTORY, SIGNET_HTTP01_PORT, SIGNET_TLS01_PORT } = process.env;

let client;
let certificate;

// What the servers below show: tokens over HTTP, certificates by name over TLS.
const tokens = new Map();
const contexts = new Map();
const web = http.createServer((request, response) => response.end(tokens.get(request.url)));
const secure = tls.createServer({
    ALPNProtocols: ['acme-tls/1'],
    SNICallback: (server, done) => done(null, contexts.get(server)),
});

const answers = {
    'dns-01': {
        add: (names, challenge, value) => hook('add', names, value),
        remove: (names, challenge, value) => hook('remove', names, value),
    },
    'http-01': {
        add: (names, challenge, value) => tokens.set(`/.well-known/acme-challenge/${challenge.token}`, value),
        remove: (names, challenge) => tokens.delete(`/.well-known/acme-challenge/${challenge.token}`),
    },
    'tls-alpn-01': {
        add: async (names, challenge, value) => {
            const [key, cert] = await acme.crypto.createAlpnCertificate(names, value);
            contexts.set(names.identifier.value, tls.createSecureContext({ cert, key }));
        },
        remove: (names) => contexts.delete(names.identifier.value),
    },
};

function hook(verb, authorization, value) {
    execFileSync(DNS_HOOK, [verb, `_acme-challenge.${authorization.identifier.value}`, value]);
}

const verbs = {
    register: () => client.createAccount({ termsOfServiceAgreed: true, contact: ['mailto:admin@example.test'] }),
    update: () => client.updateAccount({ contact: ['mailto:other@example.test'] }),
    rollover: async () => client.updateAccountKey(await acme.crypto.createPrivateEcdsaKey()),
    obtain: async () => {
        const [key, csr] = await acme.crypto.createCsr({ altNames: name.split(',') });
        certificate = await client.auto({
            csr,
            challengePriority: [proof],
            challengeCreateFn: answers[proof].add,
            challengeRemoveFn: answers[proof].remove,
            skipChallengeVerification: true,
        });
        const [leaf, ...chain] = acme.crypto.splitPemChain(certificate);
        writeFileSync(`${folder}/key.pem`, key);
        writeFileSync(`${folder}/cert.pem`, leaf);
        writeFileSync(`${folder}/chain.pem`, chain.join('\n'));
    },
    revoke: () => client.revokeCertificate(certificate, { reason: 4 }),
    deactivate: async () => {
        const account = await client.updateAccount({ status: 'deactivated' });
        if (account.status !== 'deactivated') throw new Error(`the account is ${account.status}`);
    },
};

async function main() {
    client = new acme.Client({
        directoryUrl: SIGNET_DIRECTORY,
        accountKey: await acme.crypto.createPrivateEcdsaKey(),
        ...(KID && { externalAccountBinding: { kid: KID, hmacKey: HMAC } }),
    });
    web.listen(Number(SIGNET_HTTP01_PORT), '127.0.0.1');
    secure.listen(Number(SIGNET_TLS01_PORT), '127.0.0.1');
    for (const step of steps) {
        console.log(step);
        await verbs[step]();
    }
}

main().then(
    () => process.exit(0),
    (error) => {
        console.error(error);
        process.exit(1);
    },
);
