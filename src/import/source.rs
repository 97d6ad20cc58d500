//! Texts of other programs' files: text at all, and of a size that such a file has.

use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Bytes of a file. The largest that were seen have some thousand lines.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a file; the error says what is wrong with it and what to do.
///
/// Comments are in whatever encoding was usual: bytes that are no UTF-8 are replaced, and stand out wherever they are in
/// a value.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(format!("is larger than {MAX_BYTES} bytes; is it the right file?"));
    }
    if bytes.contains(&0) {
        return Err("is not text but binary; is it the right file?".to_owned());
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let read_of = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(&path)
        };
        assert_eq!(read_of(b"\xef\xbb\xbfnode a\n"), Ok("node a\n".to_owned()));
        assert_eq!(read_of(b"# \xfc\nnode a"), Ok("# \u{fffd}\nnode a".to_owned()));
        for (bytes, wanted) in [(&b"node a\0"[..], "binary"), (&[b'#'; 1 << 21], "larger")] {
            let error = read_of(bytes).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
        assert!(read(directory.path()).unwrap_err().contains("cannot be read"));
        assert!(read(&directory.path().join("none")).unwrap_err().contains("No such file"));
    }
}
