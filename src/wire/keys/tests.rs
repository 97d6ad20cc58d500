use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const HEX: &str = "f05a1dc3b3f9e2b6c8b35a7f4fb1adf6f2a8f2ca34c7c6f6b0d4a5b1e60cb4d9";
/// The same bytes.
const BASE64: &str = "8Fodw7P54rbIs1p/T7Gt9vKo8so0x8b2sNSlseYMtNk=";

fn tag_of(keys: &Keys, id: u8) -> Vec<u8> {
    keys.mac(id, ClusterTag::of("web")).unwrap().1.finalize().into_bytes().to_vec()
}

#[test]
fn hexadecimal_and_base64_are_the_same_key() {
    let unpadded = BASE64.trim_end_matches('=');
    let text = format!(
        "# keys\nauth 2\n\n1 sha256 {HEX} # old\n2 sha256 {BASE64}\n 3\tsha256  {unpadded}\n"
    );
    let keys = Keys::parse(&text).unwrap();
    assert_eq!(keys.sending_id().get(), 2);
    assert_eq!(tag_of(&keys, 1), tag_of(&keys, 2));
    assert_eq!(tag_of(&keys, 1), tag_of(&keys, 3));
    assert!(keys.mac(0, ClusterTag::of("web")).is_none());
    assert!(keys.mac(4, ClusterTag::of("web")).is_none());
}

/// The derived key is HMAC(shared key, label and cluster): computed by hand, so that two versions of lubdub agree.
#[test]
fn the_derivation_is_what_the_wire_says() {
    let keys = Keys::parse(&format!("auth 1\n1 sha256 {HEX}")).unwrap();
    let mut derived = Hmac::<Sha256>::new_from_slice(&decode_hex(HEX).unwrap()).unwrap();
    derived.update(b"lubdub heartbeat ");
    derived.update(&ClusterTag::of("web").0);
    let derived = derived.finalize().into_bytes();
    let tag = Hmac::<Sha256>::new_from_slice(&derived)
        .unwrap()
        .chain_update(b"text")
        .finalize()
        .into_bytes();
    let ours =
        keys.sending_mac(ClusterTag::of("web")).chain_update(b"text").finalize().into_bytes();
    assert_eq!(ours, tag);
}

#[test]
fn each_fault_is_named_with_its_line() {
    let key = |id: u16| format!("{id} sha256 {HEX}\n");
    let id_1 = KeyId(NonZeroU8::new(1).unwrap());
    let id_7 = KeyId(NonZeroU8::new(7).unwrap());
    let cases = [
        (String::new(), KeysError::NoAuth),
        (key(1), KeysError::NoAuth),
        (format!("auth 7\n{}", key(1)), KeysError::NoSuchKey { id: id_7 }),
        (
            format!("auth 1\nauth 1\n{}", key(1)),
            KeysError::Twice { line: 2, what: "auth".to_owned() },
        ),
        (
            format!("auth 1\n{}{}", key(1), key(1)),
            KeysError::Twice { line: 3, what: "key 1".to_owned() },
        ),
        (format!("auth 0\n{}", key(1)), KeysError::Shape { line: 1 }),
        (format!("auth 1\n{}", key(256)), KeysError::Shape { line: 2 }),
        ("auth\n".to_owned(), KeysError::Shape { line: 1 }),
        ("auth 1 2\n".to_owned(), KeysError::Shape { line: 1 }),
        ("1 sha256\n".to_owned(), KeysError::Shape { line: 1 }),
        (format!("1 sha256 {HEX} {HEX}\n"), KeysError::Shape { line: 1 }),
        ("key = 1\n".to_owned(), KeysError::Shape { line: 1 }),
        ("1 crc\n".to_owned(), KeysError::Method { line: 1, id: id_1 }),
        ("1 sha1 Secret\n".to_owned(), KeysError::Method { line: 1, id: id_1 }),
        ("1 sha256 correct-horse\n".to_owned(), KeysError::Encoding { line: 1 }),
        ("1 sha256 AAAAA\n".to_owned(), KeysError::Encoding { line: 1 }),
        (format!("1 sha256 {}\n", &HEX[..62]), KeysError::Short { line: 1, bytes: 31 }),
        ("1 sha256 AAECAwQF\n".to_owned(), KeysError::Short { line: 1, bytes: 6 }),
    ];
    for (text, expected) in cases {
        assert_eq!(Keys::parse(&text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn keys_that_can_be_guessed_are_refused() {
    let row: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    let weak = [
        "00".repeat(32),
        "0123456789abcdef".repeat(4),
        "deadbeef".repeat(8),
        row,
        "changeme".repeat(8),
    ];
    for key in weak {
        let error = Keys::parse(&format!("auth 1\n1 sha256 {key}")).unwrap_err();
        assert_eq!(error, KeysError::Weak { line: 2 }, "{key}");
    }
}

#[test]
fn generated_keys_are_good_and_differ() {
    let (one, other) = (Keys::generate().unwrap(), Keys::generate().unwrap());
    assert_ne!(one, other);
    assert_ne!(tag_of(&Keys::parse(&one).unwrap(), 1), tag_of(&Keys::parse(&other).unwrap(), 1));
}

#[test]
fn no_key_is_shown() {
    let keys = Keys::parse(&format!("auth 1\n1 sha256 {HEX}\n9 sha256 {BASE64}")).unwrap();
    assert_eq!(format!("{keys:?}"), "Keys { sends: 1, accepts: [1, 9] }");
    for text in [
        format!("1 sha256 {HEX} {HEX}"),
        format!("1 sha256 {}", &HEX[1..]),
        "1 sha256 hunter-2".to_owned(),
        "1 hunter-2".to_owned(),
        "1 hunter-2 sha256".to_owned(),
        "hunter-2".to_owned(),
        "auth hunter-2".to_owned(),
        "hunter-2 sha256 1".to_owned(),
        format!("1 {HEX} sha256"),
    ] {
        let error = Keys::parse(&text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&HEX[1..9]) && !shown.contains("hunter"), "{shown}");
    }
}

#[test]
fn a_file_open_to_others_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("authkeys");
    fs::write(&path, Keys::generate().unwrap()).unwrap();
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(Keys::load(&path).unwrap().sending_id().get(), 1);
    }
    for open_mode in [0o640, 0o604, 0o620, 0o610, 0o601, 0o602] {
        fs::set_permissions(&path, Permissions::from_mode(open_mode)).unwrap();
        let error = Keys::load(&path).unwrap_err();
        assert!(matches!(error, LoadError::Mode { mode, .. } if mode == open_mode), "{error}");
        assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
    }
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let path = Path::new("authkeys");
    for (owner, me, trusted) in
        [(0, 0, true), (0, 1000, true), (1000, 1000, true), (1000, 0, false), (1, 2, false)]
    {
        let checked = check_access(path, 0o100_600, owner, me);
        assert_eq!(checked.is_ok(), trusted, "owner {owner}, user {me}");
        assert!(trusted || matches!(checked, Err(LoadError::Owner { uid, .. }) if uid == owner));
    }
}

#[test]
fn what_is_no_file_of_keys_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Keys::load(directory.path()), Err(LoadError::NotKeys { .. })));
    let path = directory.path().join("authkeys");
    assert!(matches!(Keys::load(&path), Err(LoadError::Read { .. })));
    fs::write(&path, "auth 1\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let error = Keys::load(&path).unwrap_err();
    assert!(
        matches!(error, LoadError::Text { .. })
            && error.to_string().starts_with(&path.display().to_string())
    );
}

/// Making new keys is no answer to not being allowed to read those that are there.
#[test]
fn who_may_not_read_keys_is_not_told_to_make_some() {
    let told = |kind: io::ErrorKind| {
        LoadError::Read { path: "/etc/lubdub/authkeys".into(), source: kind.into() }.to_string()
    };
    let denied = told(io::ErrorKind::PermissionDenied);
    assert!(denied.contains("run this as root") && !denied.contains("keygen"), "{denied}");
    assert!(told(io::ErrorKind::NotFound).contains("`lubdub keygen` makes one"));
}

#[test]
fn what_changed_is_told_by_id() {
    let id = |id: u8| KeyId::from(NonZeroU8::new(id).unwrap());
    let other = HEX.replace("f0", "0f");
    let parse = |text: &str| Keys::parse(text).unwrap();
    let former = parse(&format!("auth 1\n1 sha256 {HEX}\n2 sha256 {HEX}\n3 sha256 {HEX}\n"));
    // The same key in other letters is no change.
    let same = parse(&format!("auth 1\n3 sha256 {BASE64}\n2 sha256 {HEX}\n1 sha256 {HEX} # a\n"));
    assert!(same.change_from(&former).is_empty());
    let new = parse(&format!("auth 4\n1 sha256 {HEX}\n2 sha256 {other}\n4 sha256 {other}\n"));
    let change = new.change_from(&former);
    let expected = KeysChange {
        added: vec![id(4)],
        dropped: vec![id(3)],
        replaced: vec![id(2)],
        signs: Some((id(1), id(4))),
    };
    assert_eq!(change, expected);
}
