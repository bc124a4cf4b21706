//! Pages about files: the file as shipped, between a few words.

use std::fmt::Write as _;

/// A page and the name of its file.
pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) text: String,
}

/// `signet.toml(5)` and `signet-profile(5)`.
pub(crate) fn pages() -> [Page; 3] {
    [
        Page {
            name: "signet.toml.5",
            text: page(
                "SIGNET.TOML",
                "signet.toml, signetd.toml \\- configuration of signetd",
                "/etc/signet/signetd.toml",
                "The file is TOML and read strictly: an unknown field, an impossible value or a contradiction is refused \
                 with file, line and what to write instead. What is commented out shows the default. After a change:\n\
                 .PP\n.RS 4\n.nf\nsignetd check\nsystemctl restart signetd\n.fi\n.RE",
                include_str!("../../signetd.toml"),
                ".BR signetd (8),\n.BR signet\\-profile (5)\n",
            ),
        },
        // The file's own name leads here, too.
        Page { name: "signetd.toml.5", text: ".so man5/signet.toml.5\n".to_owned() },
        Page {
            name: "signet-profile.5",
            text: page(
                "SIGNET\\-PROFILE",
                "signet\\-profile \\- what kind of certificates may be issued",
                "/etc/signet/profiles/NAME.toml",
                "A profile says which keys, names, usages, validity and proofs are certified. signetd(8) and the signer \
                 of the CA read the files each for itself, and the two must agree. After a change:\n\
                 .PP\n.RS 4\n.nf\nsignetctl profile check /etc/signet/profiles/NAME.toml\n\
                 systemctl restart signet\\-signer@ca signetd\n.fi\n.RE\n.PP\n\
                 This is the profile of TLS servers as it is shipped:",
                include_str!("../../profiles/server.toml"),
                ".BR signetctl\\-profile\\-check (1),\n.BR signet\\-signer (8),\n.BR signet.toml (5)\n",
            ),
        },
    ]
}

fn page(title: &str, name: &str, file: &str, words: &str, shipped: &str, see_also: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        ".TH {title} 5 \"\" \"Signet {version}\" Signet\n.SH NAME\n{name}\n.SH SYNOPSIS\n.I {file}\n\
         .SH DESCRIPTION\n{words}\n.SH \"THE FILE AS SHIPPED\"\n.nf\n"
    );
    for line in shipped.lines() {
        let _ = writeln!(text, "{}", verbatim(line));
    }
    let _ = write!(text, ".fi\n.SH \"SEE ALSO\"\n{see_also}");
    text
}

/// A line that roff shows as it is.
fn verbatim(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-");
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}
