//! Looks for bytes in the memory of a process.

use std::fs::File;
use std::os::unix::fs::FileExt;

const CHUNK: usize = 1 << 20;

/// How often `needle` stands in the readable memory of process `pid`. Needs the right to trace it.
pub fn count(pid: i32, needle: &[u8]) -> std::io::Result<usize> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = 0;
    let mut read = 0;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let range = fields.next().and_then(|range| range.split_once('-'));
        let readable = fields.next().is_some_and(|mode| mode.starts_with('r'));
        let Some((start, end)) =
            range.filter(|_| readable && !line.ends_with("[vvar]") && !line.ends_with("[vsyscall]"))
        else {
            continue;
        };
        let parse = |text| u64::from_str_radix(text, 16).map_err(std::io::Error::other);
        let (mut at, end) = (parse(start)?, parse(end)?);
        // What overlaps two chunks is found too: the end of one is the beginning of the next.
        let mut window: Vec<u8> = Vec::new();
        while at < end {
            let mut chunk = vec![0; CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK))];
            // A mapping may be gone by now, or be guarded.
            let Ok(length) = memory.read_at(&mut chunk, at) else { break };
            if length == 0 {
                break;
            }
            at += length as u64;
            read += length;
            window.extend_from_slice(&chunk[..length]);
            found += memchr::memmem::find_iter(&window, needle).count();
            window.drain(..window.len().saturating_sub(needle.len() - 1));
        }
    }
    if read == 0 {
        return Err(std::io::Error::other(format!("no memory of process {pid} can be read: run as root")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_memory_is_found() {
        // Put together here, so that it stands nowhere in the program.
        let secret: Vec<u8> = (0..24u8).map(|n| n.wrapping_mul(37) ^ 0x5a).collect();
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(count(own, &secret).expect("own memory") > 0);
    }
}
