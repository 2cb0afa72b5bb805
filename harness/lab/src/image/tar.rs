//! A build context: a tar archive in memory.

const BLOCK: usize = 512;

/// An archive (POSIX ustar) of one file.
pub(super) fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    assert!(name.len() < 100, "a longer name needs an extended header");
    let mut header = [0; BLOCK];
    let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
    put(0, name.as_bytes());
    put(100, b"0000644\0"); // mode
    put(108, b"0000000\0"); // owner
    put(116, b"0000000\0"); // group
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0"); // time: none, so that equal contexts are equal
    put(148, b"        "); // the checksum counts itself as spaces
    put(156, b"0"); // a plain file
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());

    let mut archive = header.to_vec();
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn tar_reads_it() {
        for content in [vec![], vec![b'x'; 5], vec![b'y'; BLOCK], vec![b'z'; 3 * BLOCK + 1]] {
            let mut tar = Command::new("tar")
                .args(["-xOf", "-", "Dockerfile"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("tar is everywhere");
            tar.stdin.take().unwrap().write_all(&archive("Dockerfile", &content)).unwrap();
            let output = tar.wait_with_output().unwrap();
            assert!(output.status.success());
            assert_eq!(output.stdout, content);
        }
    }
}
