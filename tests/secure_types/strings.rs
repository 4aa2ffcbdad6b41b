//! Strings: always UTF-8, compared and printed as secrets are.

use crate::memory;
use casemate::secure::{ReadError, SecretBox, SecretString, SecretVec};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn text_is_edited_in_place() {
    let mut text = SecretString::with_capacity(64);
    let at = text.expose_secret().as_ptr().expose_provenance();
    text.push_str("pass");
    text.push('ß');
    text.push('漢');
    write!(text, "x-{:02}", 7).unwrap();
    assert_eq!(text.expose_secret(), "passß漢x-07");
    assert_eq!(text.pop(), Some('7'));
    text.truncate(6);
    assert_eq!(text.expose_secret(), "passß");
    assert_eq!(text.pop(), Some('ß'));
    assert_eq!(memory::at(at, 16), memory::Seen::Bytes([&b"pass"[..], &[0; 12]].concat()));
    text.expose_secret_mut().make_ascii_uppercase();
    assert!(text == "PASS" && text == *"PASS" && text != "pass");
    assert!(text == text.try_clone().unwrap());
    text.clear();
    assert!(text.is_empty() && text.pop().is_none());
    assert_eq!(memory::at(at, 16), memory::Seen::Bytes(vec![0; 16]));
}

#[test]
fn a_character_is_not_cut() {
    let mut text = SecretString::from("ß");
    assert!(catch_unwind(AssertUnwindSafe(|| text.truncate(1))).is_err());
    assert_eq!(text.expose_secret(), "ß");
}

#[test]
fn bytes_that_are_not_utf8_come_back() {
    let error = SecretString::from_utf8(SecretVec::from(vec![b'a', 0xff])).unwrap_err();
    assert_eq!(error.utf8_error().valid_up_to(), 1);
    assert!(!format!("{error:?} {error}").contains("255"));
    assert!(error.into_bytes() == [b'a', 0xff][..]);
    assert!(SecretString::from_utf8(SecretVec::from(&b"ok"[..])).unwrap() == "ok");
}

#[test]
fn reading_adds_text_or_nothing() {
    let mut text = SecretString::from("begin ");
    assert_eq!(text.try_read_from("middle ".as_bytes()).unwrap(), 7);
    let refused = text.try_read_from(&[b'x', 0xc3][..]);
    assert!(matches!(refused, Err(ReadError::NotUtf8(_))), "{refused:?}");
    assert_eq!(text.try_read_from("end".as_bytes()).unwrap(), 3);
    assert_eq!(text.expose_secret(), "begin middle end");
}

#[test]
fn strings_come_and_go() {
    let boxed: SecretBox<str> = SecretString::from(String::from("text")).into_boxed_str();
    let at = boxed.as_ptr().cast::<u8>();
    let back = SecretString::from(boxed);
    assert_eq!(back.expose_secret().as_ptr(), at);
    assert_eq!(back.into_bytes().expose_secret(), b"text");
    assert!("parsed".parse::<SecretString>().unwrap() == "parsed");
    let mut source = String::from("taken");
    assert!(SecretString::try_take_from(&mut source).unwrap() == "taken");
    assert_eq!(source, "\0\0\0\0\0");
    assert_eq!(format!("{:?}", SecretString::from("x")), "SecretString(..)");
    assert_eq!(SecretBox::<str>::default().expose_secret(), "");
}
