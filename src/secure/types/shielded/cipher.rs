//! Layer: faces. Encryption of one value: XChaCha20-Poly1305 with a nonce of its own each time.

extern crate alloc;

use super::key::with_key;
use crate::os::{Linux, Os};
use crate::secure::types::with_wiped_stack_of;
use crate::secure::{ErrorKind, Policy, SecureError};
use alloc::boxed::Box;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

/// Stack that the cipher may use, in bytes.
const CIPHER_STACK: usize = 16 << 10;

/// A value, encrypted. In ordinary memory: without the key it tells its length alone.
pub(super) struct Sealed {
    text: Box<[u8]>,
    nonce: [u8; 24],
    tag: [u8; 16],
}

/// Why a value could not be decrypted.
pub(super) enum Refusal {
    Secure(SecureError),
    /// Ciphertext, nonce or tag are not those that were written.
    Tampered,
}

impl From<SecureError> for Refusal {
    fn from(error: SecureError) -> Refusal {
        Refusal::Secure(error)
    }
}

impl Sealed {
    /// Room for a value of `len` bytes; nothing that could be decrypted yet.
    pub(super) fn room(len: usize) -> Sealed {
        Sealed { text: alloc::vec![0; len].into_boxed_slice(), nonce: [0; 24], tag: [0; 16] }
    }

    /// Length of the value in bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// What the ciphertext is bound to: where it lies and how long it is. One that is copied over
    /// another does not decrypt.
    fn place(&self) -> [u8; 16] {
        let mut place = [0; 16];
        let (address, len) = (self.text.as_ptr().addr() as u64, self.text.len() as u64);
        let (first, second) = place.split_at_mut(8);
        first.copy_from_slice(&address.to_le_bytes());
        second.copy_from_slice(&len.to_le_bytes());
        place
    }

    /// Encrypts a value of this length with the process's key for this policy and a fresh nonce. On
    /// an error what was sealed before can still be opened, under the same policy.
    pub(super) fn seal(
        &mut self,
        process: u32,
        policy: &Policy,
        value: &[u8],
    ) -> Result<(), SecureError> {
        let mut nonce = [0; 24];
        if value.len() != self.text.len() {
            return Err(SecureError::new(ErrorKind::Layout));
        }
        if !Linux::entropy(&mut nonce) {
            return Err(SecureError::new(ErrorKind::StartUp));
        }
        let place = self.place();
        let text = &mut self.text;
        let tag = with_key(process, policy, |key| {
            with_wiped_stack_of(CIPHER_STACK, || {
                let cipher = XChaCha20Poly1305::new(key.into());
                // The lengths are equal, by the check above.
                let buffer = InOutBuf::new(value, text).ok()?;
                cipher.encrypt_inout_detached((&nonce).into(), &place, buffer).ok()
            })
        })?;
        // Only values beyond 256 GiB are refused by the cipher, and before it writes.
        let Some(tag) = tag else { return Err(SecureError::new(ErrorKind::Layout)) };
        (self.nonce, self.tag) = (nonce, tag.into());
        Ok(())
    }

    /// Decrypts into `value`, which is left zero if the ciphertext is not genuine.
    pub(super) fn open(
        &self,
        process: u32,
        policy: &Policy,
        value: &mut [u8],
    ) -> Result<(), Refusal> {
        let place = self.place();
        let opened = with_key(process, policy, |key| {
            with_wiped_stack_of(CIPHER_STACK, || {
                let cipher = XChaCha20Poly1305::new(key.into());
                let buffer = InOutBuf::new(&self.text, value).ok()?;
                let (nonce, tag) = ((&self.nonce).into(), (&self.tag).into());
                cipher.decrypt_inout_detached(nonce, &place, buffer, tag).ok()
            })
        })?;
        opened.ok_or(Refusal::Tampered)
    }

    /// Flips a bit.
    #[cfg(test)]
    pub(super) fn damage(&mut self, part: usize) {
        match part {
            0 => self.text[0] ^= 1,
            1 => self.nonce[23] ^= 0x80,
            _ => self.tag[15] ^= 4,
        }
    }

    /// Copies everything over, into the memory that is here.
    #[cfg(test)]
    pub(super) fn copy_from(&mut self, other: &Sealed) {
        self.text.copy_from_slice(&other.text);
        (self.nonce, self.tag) = (other.nonce, other.tag);
    }

    /// The ciphertext.
    #[cfg(test)]
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The nonce of the last encryption.
    #[cfg(test)]
    pub(super) fn nonce(&self) -> [u8; 24] {
        self.nonce
    }
}
