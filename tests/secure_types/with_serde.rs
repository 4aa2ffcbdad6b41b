//! From serialised data at any time, to it only when asked.

use casemate::secure::{SecretBox, SecretString, SecretVec, SerializableSecret, serialize_secret};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Settings {
    user: String,
    #[serde(serialize_with = "serialize_secret")]
    password: SecretString,
    token: SerializableSecret<SecretBox<str>>,
    seed: SerializableSecret<SecretVec<u8>>,
    key: SerializableSecret<SecretBox<[u16; 3]>>,
    list: SerializableSecret<SecretBox<[u32]>>,
}

const TEXT: &str =
    r#"{"user":"u","password":"p\u00df","token":"t","seed":[1,2,255],"key":[1,2,3],"list":[7]}"#;

#[test]
fn there_and_back() {
    let settings: Settings = serde_json::from_str(TEXT).unwrap();
    assert!(settings.password == "pß" && *settings.token == *"t");
    assert!(settings.seed.0 == [1, 2, 255][..] && settings.key.0 == [1u16, 2, 3]);
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(text, TEXT.replace(r"\u00df", "ß"));
    assert_eq!(format!("{:?}", settings.token), "SerializableSecret(SecretBox<str>(..))");
}

#[test]
fn what_does_not_fit_is_an_error() {
    assert!(serde_json::from_str::<SecretVec<u8>>("[1,256]").is_err());
    assert!(serde_json::from_str::<SecretString>("5").is_err());
    assert!(serde_json::from_slice::<SecretString>(b"\"\xff\"").is_err());
    assert!(serde_json::from_value::<SecretString>("owned".into()).unwrap() == "owned");
}

#[test]
fn errors_do_not_show_what_was_there() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "never read: all of them fail")]
    struct Account {
        password: Option<SecretString>,
        token: Option<SecretBox<str>>,
        seed: Option<SecretVec<u8>>,
        key: Option<SecretBox<[u16; 2]>>,
    }
    for text in [
        r#"{"password":48151623}"#,
        r#"{"token":48151623}"#,
        r#"{"seed":"a48151623"}"#,
        r#"{"seed":[1,48151623]}"#,
        r#"{"key":[1,48151623]}"#,
        r#"{"key":"a48151623"}"#,
    ] {
        let error = serde_json::from_str::<Account>(text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("4815"), "{shown}");
        assert!(shown.contains("expected") && error.column() > 0, "{shown}");
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let error = serde_json::from_value::<Account>(value).unwrap_err();
        assert!(!error.to_string().contains("4815"), "{error}");
    }
}
