//! Writes the seeds of the fuzz targets into their corpora in the tree. Files that are there stay.

use std::process::ExitCode;

use softhsm_tests::fuzz::TARGETS;

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> std::io::Result<()> {
    for target in TARGETS {
        let folder = target.corpus();
        std::fs::create_dir_all(&folder)?;
        for (name, bytes) in target.seeds() {
            let path = folder.join(name);
            if !path.exists() {
                std::fs::write(path, bytes)?;
            }
        }
    }
    Ok(())
}
