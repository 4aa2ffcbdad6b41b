//! The protocol: what the bodies of frames mean, see `frame` for what holds them.
//!
//! A body is one tag byte and the fields after it; the last variable field takes the rest of the
//! frame. Everything that arrives is untrusted: decoding never panics, never reads past the frame
//! and allocates nothing.

use std::fmt;

use crate::frame::HEADER;

/// The name of a key: 128 random bits, so that knowing it is the right to use it.
pub type KeyId = [u8; 16];

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, signatures of fixed length.
    EcdsaP256,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Make a new key.
    Create { algorithm: Algorithm },
    /// Sign a message.
    Sign { key: KeyId, message: &'a [u8] },
    /// Say whether a signature is right.
    Verify { key: KeyId, signature: &'a [u8], message: &'a [u8] },
    /// Forget a key.
    Delete { key: KeyId },
}

/// What the service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// A key was made.
    Created { key: KeyId, public: &'a [u8] },
    /// The signature of the message.
    Signed { signature: &'a [u8] },
    /// Whether the signature is right.
    Verified { valid: bool },
    /// The key is gone.
    Deleted,
    /// The request was refused.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The frame is no request; the connection is closed.
    Malformed,
    /// The frame is longer than [`MAX_FRAME`](crate::frame::MAX_FRAME); the connection is closed.
    TooLong,
    /// There is no such key.
    UnknownKey,
    /// The service holds as many keys as it may.
    TooManyKeys,
    /// The service could not do it.
    Internal,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Malformed => "malformed frame",
            Refusal::TooLong => "frame too long",
            Refusal::UnknownKey => "unknown key",
            Refusal::TooManyKeys => "too many keys",
            Refusal::Internal => "internal error",
        })
    }
}

/// A body that is no request or no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Request<'_> {
    /// The frame with its length.
    pub fn encode(&self) -> Vec<u8> {
        match *self {
            Request::Create { algorithm } => frame(1, &[&[algorithm_code(algorithm)]]),
            Request::Sign { key, message } => frame(2, &[&key, message]),
            Request::Verify { key, signature, message } => {
                // A signature too long to announce is announced as the longest: always refused.
                let length = u16::try_from(signature.len()).unwrap_or(u16::MAX);
                frame(3, &[&key, &length.to_be_bytes(), signature, message])
            }
            Request::Delete { key } => frame(4, &[&key]),
        }
    }

    /// Reads a request out of a body.
    pub fn decode(body: &[u8]) -> Result<Request<'_>, Malformed> {
        let mut rest = Rest(body);
        let request = match rest.byte()? {
            1 => Request::Create { algorithm: algorithm(rest.byte()?)? },
            2 => Request::Sign { key: rest.array()?, message: rest.all() },
            3 => {
                let key = rest.array()?;
                let length = u16::from_be_bytes(rest.array()?);
                Request::Verify {
                    key,
                    signature: rest.take(usize::from(length))?,
                    message: rest.all(),
                }
            }
            4 => Request::Delete { key: rest.array()? },
            _ => return Err(Malformed),
        };
        rest.end()?;
        Ok(request)
    }
}

impl Response<'_> {
    /// The frame with its length.
    pub fn encode(&self) -> Vec<u8> {
        match *self {
            Response::Created { key, public } => frame(1, &[&key, public]),
            Response::Signed { signature } => frame(2, &[signature]),
            Response::Verified { valid } => frame(3, &[&[u8::from(valid)]]),
            Response::Deleted => frame(4, &[]),
            Response::Refused(refusal) => frame(255, &[&[refusal_code(refusal)]]),
        }
    }

    /// Reads a response out of a body.
    pub fn decode(body: &[u8]) -> Result<Response<'_>, Malformed> {
        let mut rest = Rest(body);
        let response = match rest.byte()? {
            1 => Response::Created { key: rest.array()?, public: rest.all() },
            2 => Response::Signed { signature: rest.all() },
            3 => match rest.byte()? {
                0 => Response::Verified { valid: false },
                1 => Response::Verified { valid: true },
                _ => return Err(Malformed),
            },
            4 => Response::Deleted,
            255 => Response::Refused(refusal(rest.byte()?)?),
            _ => return Err(Malformed),
        };
        rest.end()?;
        Ok(response)
    }
}

fn algorithm_code(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Ed25519 => 1,
        Algorithm::EcdsaP256 => 2,
    }
}

fn algorithm(code: u8) -> Result<Algorithm, Malformed> {
    match code {
        1 => Ok(Algorithm::Ed25519),
        2 => Ok(Algorithm::EcdsaP256),
        _ => Err(Malformed),
    }
}

fn refusal_code(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Malformed => 1,
        Refusal::TooLong => 2,
        Refusal::UnknownKey => 3,
        Refusal::TooManyKeys => 4,
        Refusal::Internal => 5,
    }
}

fn refusal(code: u8) -> Result<Refusal, Malformed> {
    match code {
        1 => Ok(Refusal::Malformed),
        2 => Ok(Refusal::TooLong),
        3 => Ok(Refusal::UnknownKey),
        4 => Ok(Refusal::TooManyKeys),
        5 => Ok(Refusal::Internal),
        _ => Err(Malformed),
    }
}

fn frame(tag: u8, fields: &[&[u8]]) -> Vec<u8> {
    let length = 1 + fields.iter().map(|field| field.len()).sum::<usize>();
    let mut frame = Vec::with_capacity(HEADER + length);
    // A body beyond 32 bits is announced as the longest: the other side refuses it.
    frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    frame.push(tag);
    for field in fields {
        frame.extend_from_slice(field);
    }
    frame
}

/// What is still unread of a body.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = *b"0123456789abcdef";

    #[test]
    fn requests_survive_the_wire_and_no_cut_panics() {
        let all = [
            Request::Create { algorithm: Algorithm::EcdsaP256 },
            Request::Sign { key: KEY, message: b"message" },
            Request::Verify { key: KEY, signature: b"signature", message: b"message" },
            Request::Delete { key: KEY },
        ];
        for request in all {
            let frame = request.encode();
            let body = &frame[HEADER..];
            assert_eq!(Request::decode(body), Ok(request));
            for cut in 0..body.len() {
                assert_ne!(Request::decode(&body[..cut]), Ok(request));
            }
        }
    }

    #[test]
    fn responses_survive_the_wire() {
        for response in [
            Response::Created { key: KEY, public: b"public" },
            Response::Signed { signature: b"signature" },
            Response::Verified { valid: true },
            Response::Deleted,
            Response::Refused(Refusal::TooManyKeys),
        ] {
            assert_eq!(Response::decode(&response.encode()[HEADER..]), Ok(response));
        }
    }

    #[test]
    fn trailing_bytes_and_unknown_tags_are_refused() {
        let mut body = Request::Delete { key: KEY }.encode()[HEADER..].to_vec();
        body.push(0);
        assert_eq!(Request::decode(&body), Err(Malformed));
        assert_eq!(Request::decode(&[9]), Err(Malformed));
        assert_eq!(Request::decode(&[]), Err(Malformed));
        assert_eq!(Response::decode(&[3, 2]), Err(Malformed));
    }
}
