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
