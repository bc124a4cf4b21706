//! `manuals DIR`: writes the manual pages and shell completions of the three programs below DIR.
//!
//! Pages of programs come from their command lines, pages of files from the files as shipped, so
//! none can say anything else than what it describes.

mod files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

/// A program, its section, and what else its reader may need.
struct Program {
    command: Command,
    section: &'static str,
    see_also: &'static str,
}

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: manuals DIR");
        return ExitCode::from(2);
    };
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manuals: {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    for program in programs() {
        let name = program.command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let directory = completions.join(shell.to_string());
            fs::create_dir_all(&directory)?;
            generate_to(shell, &mut program.command.clone(), name.clone(), directory)?;
        }
        pages(&man, program)?;
    }
    for page in files::pages() {
        fs::write(man.join(page.name), page.text)?;
    }
    Ok(())
}

fn programs() -> [Program; 3] {
    [
        Program {
            command: hsm::cli::command(),
            section: "8",
            see_also: ".BR signetd (8),\n.BR signetctl (1),\n.BR signet\\-profile (5)\n",
        },
        Program {
            command: daemon::ctl::command(),
            section: "1",
            see_also: ".BR signetd (8),\n.BR signet\\-signer (8)\n",
        },
        Program {
            command: daemon::cli::command(),
            section: "8",
            see_also: ".BR signet.toml (5),\n.BR signet\\-profile (5),\n.BR signet\\-signer (8),\n.BR signetctl (1)\n",
        },
    ]
}

/// The page of a program and one of each verb, named like `signetctl-cert-list`.
fn pages(directory: &Path, program: Program) -> io::Result<()> {
    let Program { command, section, see_also } = program;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    page(directory, &command, section, see_also)
}

fn page(directory: &Path, command: &Command, section: &str, see_also: &str) -> io::Result<()> {
    // The verbs of a built command know their whole name, with spaces or dashes.
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let version = command.get_version().map(str::to_owned).unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let described = command.clone().name(leak(&name)).version(leak(&version));
    let man = Man::new(described).section(section).source(format!("Signet {version}")).manual("Signet");
    let mut text = Vec::new();
    man.render(&mut text)?;
    text.extend_from_slice(format!(".SH \"SEE ALSO\"\n{see_also}").as_bytes());
    fs::write(directory.join(format!("{name}.{section}")), text)?;
    let above = format!(".BR {} ({section})\n", name.replace('-', "\\-"));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        page(directory, verb, section, &above)?;
    }
    Ok(())
}

/// clap keeps names for ever; there are some eighty, and the program ends at once.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}
