# What a package does on the host when it comes, changes and goes: one text for deb and rpm.
# packaging/build puts it in front of each maintainer script.

booted() { [ -d /run/systemd/system ]; }

installed() {
    systemd-sysusers /usr/lib/sysusers.d/signet.conf
    systemd-tmpfiles --create /usr/lib/tmpfiles.d/signet.conf
    if booted; then systemctl daemon-reload; journalctl --update-catalog; fi
    if [ -e /etc/signet/signetd.toml ]; then return; fi
    echo 'Signet is installed, and nothing was started. Next, as root on the console:'
    echo '    signet-signer setup'
}

# try-restart, never stop and start: systemd keeps the descriptor in which the CA signer finds its
# unseal secret again, so an upgrade does not seal the CA.
upgraded() {
    installed
    if booted; then
        systemctl try-restart signet-signer@tls.service
        systemctl try-restart signet-signer@ca.service
        systemctl try-restart signetd.service
    fi
}

removing() {
    if booted; then
        for unit in $(systemctl list-unit-files --no-legend 'signet*.socket' | cut -d' ' -f1); do
            case $unit in *@.socket) ;; *) systemctl --quiet disable --now "$unit" || true ;; esac
        done
        systemctl --quiet disable --now signetd.service signet-signer@ca.service signet-signer@tls.service \
            signet-signer@ca.socket signet-signer@tls.socket || true
    fi
}

removed() {
    if booted; then systemctl daemon-reload; fi
    if [ -e /var/lib/signet-signer ]; then
        echo 'Kept: /etc/signet, /var/lib/signet (the store), /var/lib/signet-signer (journals and SoftHSM tokens).'
    fi
}

# A journal and a software token are the CA: no command that anybody types by habit deletes them.
purged() {
    if [ "${SIGNET_PURGE:-}" = delete-the-ca ]; then
        rm -rf /etc/signet /var/lib/signet /var/lib/signet-signer /run/signet
    fi
    # What is empty is nobody's.
    rmdir --ignore-fail-on-non-empty /etc/signet /var/lib/signet /var/lib/signet-signer 2>/dev/null || true
    if [ -e /var/lib/signet-signer ]; then
        echo 'Not deleted: the keys, the journal, the store and the configuration of a CA, in /etc/signet and /var/lib/signet*.' >&2
        echo 'To delete them for ever, purge again with SIGNET_PURGE=delete-the-ca in the environment.' >&2
        return 1
    fi
}
