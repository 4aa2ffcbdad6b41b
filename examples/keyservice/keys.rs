//! The keys that the service holds, and what is done with them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, Signature, UnparsedPublicKey, VerificationAlgorithm,
};

use crate::protocol::{Algorithm, KeyId, Refusal};

/// Most keys that are held at once.
pub const MAX_KEYS: usize = 64 * 1024;

/// A private key.
pub enum Key {
    Ed25519(Ed25519KeyPair),
    EcdsaP256(EcdsaKeyPair),
}

impl Key {
    fn generate(algorithm: Algorithm, random: &SystemRandom) -> Result<Key, Refusal> {
        match algorithm {
            Algorithm::Ed25519 => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(random).map_err(internal)?;
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(internal)?;
                Ok(Key::Ed25519(pair))
            }
            Algorithm::EcdsaP256 => {
                let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, random).map_err(internal)?;
                let pair =
                    EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), random).map_err(internal)?;
                Ok(Key::EcdsaP256(pair))
            }
        }
    }

    /// The public half, in the encoding that [`verify`] takes.
    pub fn public(&self) -> &[u8] {
        match self {
            Key::Ed25519(pair) => pair.public_key().as_ref(),
            Key::EcdsaP256(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Key::Ed25519(_) => Algorithm::Ed25519,
            Key::EcdsaP256(_) => Algorithm::EcdsaP256,
        }
    }
}

/// Whether `signature` is one of `message` under the public key.
pub fn verify(algorithm: Algorithm, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let kind: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::Ed25519 => &signature::ED25519,
        Algorithm::EcdsaP256 => &ECDSA_P256_SHA256_FIXED,
    };
    UnparsedPublicKey::new(kind, public).verify(message, signature).is_ok()
}

/// All keys of the service, shared by its connections.
pub struct Store {
    keys: RwLock<HashMap<KeyId, Arc<Key>>>,
    random: SystemRandom,
}

impl Store {
    pub fn new() -> Store {
        Store { keys: RwLock::new(HashMap::new()), random: SystemRandom::new() }
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn create(&self, algorithm: Algorithm) -> Result<(KeyId, Arc<Key>), Refusal> {
        // A full store refuses before the costly part, and again when the key is put in.
        if self.len() >= MAX_KEYS {
            return Err(Refusal::TooManyKeys);
        }
        let key = Arc::new(Key::generate(algorithm, &self.random)?);
        let mut id = KeyId::default();
        self.random.fill(&mut id).map_err(internal)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_KEYS {
            return Err(Refusal::TooManyKeys);
        }
        match keys.entry(id) {
            // 128 random bits twice: the random source is broken.
            Entry::Occupied(_) => Err(Refusal::Internal),
            Entry::Vacant(free) => {
                free.insert(Arc::clone(&key));
                Ok((id, key))
            }
        }
    }

    pub fn sign(&self, id: &KeyId, message: &[u8]) -> Result<Signature, Refusal> {
        match &*self.get(id)? {
            Key::Ed25519(pair) => Ok(pair.sign(message)),
            Key::EcdsaP256(pair) => pair.sign(&self.random, message).map_err(internal),
        }
    }

    pub fn verify(&self, id: &KeyId, message: &[u8], signature: &[u8]) -> Result<bool, Refusal> {
        let key = self.get(id)?;
        Ok(verify(key.algorithm(), key.public(), message, signature))
    }

    pub fn delete(&self, id: &KeyId) -> Result<(), Refusal> {
        let removed = self.keys.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        // The key itself goes after the lock, and only when its last signature is done.
        removed.map(drop).ok_or(Refusal::UnknownKey)
    }

    fn get(&self, id: &KeyId) -> Result<Arc<Key>, Refusal> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
            .ok_or(Refusal::UnknownKey)
    }
}

/// What went wrong inside is nothing a client may learn.
fn internal<E>(_: E) -> Refusal {
    Refusal::Internal
}
